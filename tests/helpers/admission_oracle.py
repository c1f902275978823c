"""The rules of a house in plain lists: who is let in when, who waits, and what who is refused is told."""

from dataclasses import dataclass, field


@dataclass
class Rules:
    """Visitors are called after their team and a number, as ``a1``. Times are seconds."""

    at_once: int
    queue_length: int
    longest_wait: int
    let_in: list[str] = field(default_factory=list)
    """All who ever were, in that order."""
    inside: dict[str, int] = field(default_factory=dict)
    """Since when they are."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Since when they do, in that order."""
    turns: list[str] = field(default_factory=list)
    """The teams that wait: whose turn is next comes first."""
    usual: float = 2
    told: dict[str, float] = field(default_factory=dict)
    """After how many seconds who was refused may come back."""

    def come(self, name: str, now: int) -> None:
        """One place is kept from each team; who has half of the queue already gets no more of it."""
        if self._may_enter(name[0]):
            self._enter(name, now)
        elif len(self.waiting) >= self.queue_length or 2 * len(_of(name[0], self.waiting)) >= self.queue_length:
            self.told[name] = self._come_back(name[0])
        else:
            self.waiting[name] = now
            if name[0] not in self.turns:
                self.turns.append(name[0])

    def leave(self, name: str, now: int) -> None:
        """A visit that is over changes by a fifth what is thought of the next."""
        self.usual = 0.8 * self.usual + 0.2 * (now - self.inside[name])
        self.give_up(name, now)

    def give_up(self, name: str, now: int) -> None:
        """Wherever it is; nothing is learned of that."""
        if name in self.waiting:
            self._wait_no_more(name)
        else:
            del self.inside[name]
        while team := next(filter(self._may_enter, self.turns), None):
            first = _of(team, self.waiting)[0]
            self._wait_no_more(first)
            self._enter(first, now)
            if team in self.turns:
                self.turns.remove(team)
                self.turns.append(team)

    def pass_time(self, now: int) -> None:
        """Whoever has waited for so long is refused."""
        for name in [name for name, since in self.waiting.items() if now - since >= self.longest_wait]:
            self._wait_no_more(name)
            self.told[name] = self._come_back(name[0])

    def places(self) -> dict[str, int]:
        """The order in which those who wait would get a single place: one of each team, and again."""
        ranks = {name: _of(name[0], self.waiting).index(name) for name in self.waiting}
        order = sorted(self.waiting, key=lambda name: (ranks[name], self.turns.index(name[0])))
        return {name: place for place, name in enumerate(order, start=1)}

    def _may_enter(self, team: str) -> bool:
        return len(self.inside) < self.at_once and len(_of(team, self.inside)) < (self.at_once - 1 or 1)

    def _enter(self, name: str, now: int) -> None:
        self.inside[name] = now
        self.let_in.append(name)

    def _wait_no_more(self, name: str) -> None:
        del self.waiting[name]
        if not _of(name[0], self.waiting):
            self.turns.remove(name[0])

    def _come_back(self, team: str) -> float:
        """When all have had a visit, and all of the team, on the places that those may have."""
        here = [*self.inside, *self.waiting]
        return self.usual * max(len(here) / self.at_once, len(_of(team, here)) / (self.at_once - 1 or 1))


def _of(team: str, names: "dict[str, int] | list[str]") -> list[str]:
    return [name for name in names if name[0] == team]
