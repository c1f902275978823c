"""The function that a cluster runs: one task, from plain values to plain values, whatever goes wrong."""

from collections.abc import Sequence
from threading import Thread

from engine import errors
from engine.common.cancellation import CancelToken
from engine.common.redaction import redacted_name
from engine.errors import ClusterUnavailable, EngineError
from engine.runners.ray.messages import Failure, Job, Task, versions
from engine.runners.ray.worker_context import set_cancel_token

_LOOK_SECONDS = 0.1


def work(job: Job, task: Task, *inputs: object) -> object:
    """Run a task; what it raised is a `Failure` in the place of its first result.

    The engine of the cluster may interrupt the main thread (KeyboardInterrupt): then the task is told to stop, and has
    stopped when that is raised again.
    """
    cancel = CancelToken()
    found: list[object] = []
    thread = Thread(target=_run, args=(job, task, inputs, cancel, found), name="task")
    thread.start()
    try:
        # DuckDB does not hear of signals while it runs in the main thread.
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
    except BaseException:
        cancel.cancel()
        thread.join()
        raise
    return found[0]


def failure_of(error: BaseException) -> Failure:
    """What is told of an error: sentences of ours, and for operators its cause, without values of rows."""
    if isinstance(error, EngineError):
        cause = "" if error.__cause__ is None else redacted_name(error.__cause__)
        return Failure(type(error).__name__, error.message, error.details, cause)
    return Failure("", "", {}, redacted_name(error))


def error_of(failure: Failure) -> Exception:
    """The error that a failure tells of, as if it had been raised here."""
    kind = getattr(errors, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        return RuntimeError(failure.cause)
    details = dict(failure.details)
    error: Exception = kind(failure.message, **details)
    error.__cause__ = RuntimeError(failure.cause) if failure.cause else None
    return error


def _run(job: Job, task: Task, inputs: Sequence[object], cancel: CancelToken, found: list[object]) -> None:
    set_cancel_token(cancel)
    try:
        _check_versions(job)
        _raise_failures(inputs)
        result = task.run(job, inputs)
    except BaseException as error:  # noqa: BLE001  # told to whoever asked, in another process
        failure = failure_of(error)
        result = failure if task.returns == 1 else [failure] * task.returns
    found.append(result)


def _check_versions(job: Job) -> None:
    here = versions()
    if here != job.versions:
        raise ClusterUnavailable(
            f"A node of the cluster has other versions, which could give other bytes: {here} there, {job.versions} "
            "here. Install the same on every node."
        )


def _raise_failures(inputs: Sequence[object]) -> None:
    for one in inputs:
        if isinstance(one, Failure):
            raise error_of(one)
