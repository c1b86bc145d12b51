"""What the seller has and for how much, from stock.toml: read at start; the floors are told to nobody."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from mesh_seller_agent.strategy import Stance

_FILE = Path(__file__).resolve().parents[1] / "stock.toml"


@dataclass(frozen=True, slots=True)
class Goods:
    """An item: pieces in stock, prices in cents, and the discount for many."""

    stock: int
    asks: int
    floor: int
    pace: float
    bulk_from: int
    bulk_percent: int

    def stance(self, quantity: int) -> Stance:
        """What to ask, and the least to take, for so many."""
        percent = 100 - (self.bulk_percent if self.bulk_from and quantity >= self.bulk_from else 0)
        return Stance("seller", self.asks * percent // 100, self.floor * percent // 100, self.pace)


def goods(path: Path = _FILE) -> dict[str, Goods]:
    """Item → goods. Raises ValueError for a file that makes no sense."""
    found: dict[str, Goods] = {}
    for name, said in tomllib.loads(path.read_text())["items"].items():
        one = Goods(
            int(said["stock"]),
            int(said["asks"]),
            int(said["floor"]),
            float(said["pace"]),
            int(said.get("bulk_from", 0)),
            int(said.get("bulk_percent", 0)),
        )
        if not 0 < one.floor <= one.asks or one.pace <= 0 or not 0 <= one.bulk_percent < 100:
            raise ValueError(
                f"{path.name}: for {name}, 0 < floor <= asks, pace > 0 and a percentage have to hold"
            )
        found[name] = one
    return found
