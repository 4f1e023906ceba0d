"""Hand-written fakes, held to the real thing by the tests they share."""

from collections.abc import Iterable

from shared.adapters.states import Saved
from shared.core.fold import GroupState
from shared.core.state import SymbolState, decode_state, encode_state


class FakeStates:
    """States in a dict: what RedisStates promises, without a server."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[str, GroupState]] = {}
        self._states: dict[str, tuple[int, str, int, bytes]] = {}

    def save(self, group: int, profile: str, after: GroupState, changed: Iterable[str]) -> None:
        for name in changed:
            if self._states.get(name, (-1,))[0] <= after.next_offset:
                self._states[name] = (after.next_offset, profile, group, encode_state(after.symbols[name]))
        if group not in self._heads or self._heads[group][1].next_offset <= after.next_offset:
            self._heads[group] = (profile, after)

    def load(self, group: int, profile: str) -> Saved | None:
        if group not in self._heads or self._heads[group][0] != profile:
            return None
        head = self._heads[group][1]
        symbols: dict[str, SymbolState] = {}
        for name, (offset, of_profile, of_group, data) in self._states.items():
            if of_group == group:
                if offset > head.next_offset or of_profile != profile:
                    return None
                symbols[name] = decode_state(data)
        return Saved(head.next_offset, head.promotion_offset, head.model_version, symbols, head.known_from)
