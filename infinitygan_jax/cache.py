"""What was used last is kept, up to a number of bytes."""

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Kept(NamedTuple, Generic[Value]):
    value: Value
    num_bytes: int


class Cache(Generic[Key, Value]):
    """Values by key, those used last; safe to use from several threads."""

    def __init__(self, most_bytes: int):
        """Takes how many bytes are kept, unless ``shrink`` is told to keep more."""
        self._most = most_bytes
        self._bytes = 0
        # Those used last at the end.
        self._kept: collections.OrderedDict[Key, _Kept[Value]] = (
            collections.OrderedDict()
        )
        self._lock = threading.RLock()

    def keys(self) -> list[Key]:
        """Of all that is kept, those used last at the end."""
        with self._lock:
            return list(self._kept)

    @property
    def num_bytes(self) -> int:
        """Of all that is kept."""
        return self._bytes

    def get(self, key: Key) -> Value | None:
        """A value, which counts as used now; None if it is not kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key].value

    def put(self, key: Key, value: Value, num_bytes: int) -> None:
        """Keeps a value, whatever is kept already; see ``shrink``."""
        with self._lock:
            self.pop(key)
            self._kept[key] = _Kept(value, num_bytes)
            self._bytes += num_bytes

    def pop(self, key: Key) -> Value | None:
        """Forgets a value, and returns it if it was kept."""
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is None:
                return None
            self._bytes -= kept.num_bytes
            return kept.value

    def shrink(self, least: int = 1) -> None:
        """Forgets what was not used for longest, until the rest is small enough.

        Args:
          least: so many of those used last are kept, however large they are.
        """
        with self._lock:
            while self._bytes > self._most and len(self._kept) > least:
                self._bytes -= self._kept.popitem(last=False)[1].num_bytes

    def of(
        self, key: Key, make: Callable[[], Value], bytes_of: Callable[[Value], int]
    ) -> Value:
        """A value, which is made if it is not kept.

        Threads that ask at once may each make it: what is made has to be the same.
        """
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value, bytes_of(value))
            self.shrink()
        return value
