"""Embeddings are kept within a bound, and shared through a Redis that may fail."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from audit.errors import UsageError
from audit.serving.embeddings import Embedding, EmbeddingCache, halved
from audit.serving.redis_store import PREFIX, RedisStore


def embedding(value: float = 1.0, size: int = 500) -> Embedding:
    """``2 * size`` bytes."""
    return Embedding((np.full(size, value, np.float16),), (24, 32))


def test_an_empty_cache_has_nothing() -> None:
    cache = EmbeddingCache(1000)
    assert cache.get("a") is None and len(cache) == 0 and cache.nbytes == 0


def test_the_least_recently_used_goes_and_the_bytes_stay_within_the_bound() -> None:
    cache = EmbeddingCache(3000)
    for key in "abc":
        cache.put(key, embedding())
    assert cache.get("a") is not None
    cache.put("d", embedding())
    assert cache.get("b") is None
    assert all(cache.get(k) is not None for k in "acd") and cache.nbytes == 3000


def test_many_pictures_never_exceed_the_bound() -> None:
    cache = EmbeddingCache(10_000)
    for i in range(500):
        cache.put(str(i), embedding(size=100 + i % 700))
        assert cache.nbytes <= 10_000
        assert cache.nbytes == sum(e.nbytes for e in cache._kept.values())


def test_one_that_is_too_large_is_not_kept() -> None:
    cache = EmbeddingCache(100)
    cache.put("a", embedding())
    assert len(cache) == 0 and cache.nbytes == 0


def test_putting_the_same_again_counts_once() -> None:
    cache = EmbeddingCache(3000)
    cache.put("a", embedding())
    cache.put("a", embedding(2))
    found = cache.get("a")
    assert found is not None and found.features[0][0] == 2 and cache.nbytes == 1000


def test_half_precision_never_becomes_infinite() -> None:
    assert np.isfinite(halved(np.array([1e9, -1e9, 0.5], np.float32))).all()


def test_bytes_and_back() -> None:
    found = Embedding.from_bytes(embedding(3).to_bytes())
    assert (
        found is not None and found.frame_hw == (24, 32) and np.array_equal(found.features[0], embedding(3).features[0])
    )


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04broken", embedding().to_bytes()[:200]])
def test_bytes_that_are_no_embedding(data: bytes) -> None:
    assert Embedding.from_bytes(data) is None


class TinyRedis:
    """Enough of Redis' protocol to keep values; ``reply`` replaces every answer."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.commands: list[list[bytes]] = []
        self.reply: bytes | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection.makefile("rwb"),), daemon=True).start()

    def _talk(self, stream: Any) -> None:
        with contextlib.suppress(OSError):  # a client that has had enough
            while line := stream.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2])
                self.commands.append(words)
                stream.write(self.reply if self.reply is not None else self._answer(words))
                stream.flush()

    def _answer(self, words: list[bytes]) -> bytes:
        if words[0] == b"SETEX":
            self.values[words[1]] = words[3]
        if words[0] != b"GET":
            return b"+OK\r\n"
        value = self.values.get(words[1])
        return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


@pytest.fixture
def redis() -> Iterator[TinyRedis]:
    server = TinyRedis()
    yield server
    server.listener.close()


def test_a_second_worker_finds_what_the_first_has_made(redis: TinyRedis) -> None:
    url = f"redis://user:p%40ss@127.0.0.1:{redis.port}/3"
    EmbeddingCache(10_000, RedisStore(url)).put("a", embedding(7))
    second = EmbeddingCache(10_000, RedisStore(url))
    found = second.get("a")
    assert found is not None and found.features[0][0] == 7
    assert second.nbytes == found.nbytes
    assert redis.commands[:2] == [[b"AUTH", b"user", b"p@ss"], [b"SELECT", b"3"]]
    assert redis.commands[2][:2] == [b"SETEX", (PREFIX + "a").encode()]


def test_an_unknown_key_is_nothing(redis: TinyRedis) -> None:
    assert RedisStore(f"redis://127.0.0.1:{redis.port}").get("nobody") is None


@pytest.mark.parametrize("reply", [b"-ERR no\r\n", b"$999999999999\r\n", b"x" * 1000, b"$abc\r\n"])
def test_a_redis_that_answers_nonsense_is_as_good_as_none(redis: TinyRedis, reply: bytes) -> None:
    redis.reply = reply
    store = RedisStore(f"redis://127.0.0.1:{redis.port}")
    assert store.get("a") is None
    asked = len(redis.commands)
    store.put("a", b"x")  # it rests after a failure instead of waiting at every click
    assert len(redis.commands) == asked


def test_a_redis_that_is_gone_costs_nothing_but_its_help() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cache = EmbeddingCache(10_000, RedisStore(f"redis://127.0.0.1:{port}"))
    cache.put("a", embedding())
    assert cache.get("a") is not None and cache.get("b") is None


def test_values_of_somebody_else_are_ignored(redis: TinyRedis) -> None:
    redis.values[(PREFIX + "a").encode()] = b"not ours"
    assert EmbeddingCache(1000, RedisStore(f"redis://127.0.0.1:{redis.port}")).get("a") is None


@pytest.mark.parametrize("url", ["http://x", "redis://", "127.0.0.1:6379"])
def test_a_bad_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="SAM_REDIS_URL: expected redis://"):
        RedisStore(url)
