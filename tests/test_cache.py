"""A cache keeps what was used last, by bytes, whoever asks."""

import sys
import threading

import pytest

from infinitygan_jax.cache import Cache


def test_what_was_used_last_is_kept_by_bytes():
    """Of 10, 20 and 30 bytes in 50: the first is used again, so the second goes."""
    cache = Cache(50)
    for name, size in (("a", 10), ("b", 20)):
        cache.put(name, name.upper(), size)
        cache.shrink()
    assert cache.get("a") == "A"
    cache.put("c", "C", 30)
    assert cache.num_bytes == 60  # until it is told to shrink
    cache.shrink()
    assert cache.keys() == ["a", "c"]
    assert cache.num_bytes == 40
    assert cache.get("b") is None


def test_so_many_are_kept_however_large_they_are():
    cache = Cache(1)
    for index in range(4):
        cache.put(index, -index, 100)
    cache.shrink(3)
    assert cache.keys() == [1, 2, 3]
    cache.shrink()
    assert cache.keys() == [3]


def test_a_value_that_replaces_another_counts_alone():
    cache = Cache(100)
    cache.put("a", 1, 60)
    cache.put("a", 2, 70)
    assert (cache.get("a"), cache.num_bytes) == (2, 70)
    assert cache.pop("a") == 2
    assert cache.num_bytes == 0
    assert cache.pop("a") is None


def test_a_value_is_made_once_while_it_is_kept():
    made = []
    cache = Cache(20)

    def value_of(key):
        return cache.of(key, lambda: made.append(key) or key * 2, lambda _: 10)

    assert [value_of(key) for key in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert made == [1, 2, 3, 2]  # 3 took the place of 2


def test_threads_share_it():
    """Each key's own value comes back, and bytes are counted right at the end."""
    cache = Cache(40)
    wrong = []
    barrier = threading.Barrier(8)

    def work(offset):
        barrier.wait()
        for index in range(3000):
            key = (index * 7 + offset) % 13
            if cache.of(key, lambda key=key: key + 100, lambda _: 10) != key + 100:
                wrong.append(key)
            if index % 5 == 0:
                cache.pop((key + 1) % 13)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # else threads seldom meet
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(often)
    assert not wrong
    assert cache.num_bytes == 10 * len(cache.keys()) <= 40


def test_an_error_in_making_keeps_nothing():
    cache = Cache(40)
    with pytest.raises(KeyError):
        cache.of("a", lambda: {}["b"], lambda _: 1)
    assert cache.keys() == []
