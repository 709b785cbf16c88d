"""One number, its target, and what it was made from."""

from dataclasses import dataclass

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """A measured value; it should be at most, or at least, its target."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    parts: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def __str__(self) -> str:
        """Return one line for a person."""
        targets = [
            f"{word} {target:g}"
            for word, target in (("at most", self.at_most), ("at least", self.at_least))
            if target is not None
        ]
        line = f"{'ok  ' if self.reached else 'MISS'} {self.name}: {self.value:.2f} {self.unit}"
        line = line.rstrip() + (f" ({', '.join(targets)})" if targets else "")
        return f"{line}\n       {self.parts}" if self.parts else line
