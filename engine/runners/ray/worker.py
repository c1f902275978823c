"""The function that a cluster runs: one task, from plain values to plain values, even where it fails."""

from collections.abc import Sequence
from threading import Thread

from engine import errors
from engine.common.cancellation import CancelToken
from engine.common.redaction import redacted_name
from engine.errors import ClusterUnavailable, EngineError
from engine.runners.ray.messages import Failure, Job, Task, versions
from engine.runners.ray.worker_context import set_cancel_token

_POLL_INTERVAL_SECONDS = 0.1


def run_task(job: Job, task: Task, *inputs: object) -> object:
    """Run a task. If it raises, each of its results is a `Failure`.

    A cluster engine may interrupt the main thread (KeyboardInterrupt): then the task is cancelled, and has ended when
    the interrupt is raised again.
    """
    cancel = CancelToken()
    results: list[object] = []
    thread = Thread(target=_run, args=(job, task, inputs, cancel, results), name="task")
    thread.start()
    try:
        # Python handles no signal while DuckDB runs in the main thread.
        while thread.is_alive():
            thread.join(_POLL_INTERVAL_SECONDS)
    except BaseException:
        cancel.cancel()
        thread.join()
        raise
    return results[0]


def failure_of(error: BaseException) -> Failure:
    """An error as plain values: its message for callers, and its redacted cause for operators."""
    if isinstance(error, EngineError):
        cause = "" if error.__cause__ is None else redacted_name(error.__cause__)
        return Failure(type(error).__name__, error.message, error.details, cause)
    return Failure("", "", {}, redacted_name(error))


def error_of(failure: Failure) -> Exception:
    """The error that a failure stands for, ready to be raised."""
    kind = getattr(errors, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, EngineError)):
        return RuntimeError(failure.cause)
    details = dict(failure.details)
    error: Exception = kind(failure.message, **details)
    error.__cause__ = RuntimeError(failure.cause) if failure.cause else None
    return error


def _run(job: Job, task: Task, inputs: Sequence[object], cancel: CancelToken, results: list[object]) -> None:
    set_cancel_token(cancel)
    try:
        _check_versions(job)
        _raise_failures(inputs)
        result = task.run(job, inputs)
    except BaseException as error:  # noqa: BLE001  # returned to the driver, in another process
        failure = failure_of(error)
        result = failure if task.returns == 1 else [failure] * task.returns
    results.append(result)


def _check_versions(job: Job) -> None:
    here = versions()
    if here != job.versions:
        raise ClusterUnavailable(
            f"Version mismatch on a node of the cluster: it has {here}, the service has {job.versions}. Install the "
            "same versions on every node: others could write other bytes."
        )


def _raise_failures(inputs: Sequence[object]) -> None:
    for value in inputs:
        if isinstance(value, Failure):
            raise error_of(value)
