"""Play what a peer sends to a conversation, cut in any way, and see what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypothesis import strategies as st

from collector.probe.conversation import Conversation
from collector.probe.observation import Reach


@dataclass(frozen=True)
class Ending:
    """Where a conversation stood after its last byte; `sent` is everything it said after the opening."""

    reach: Reach
    done: bool
    sent: bytes
    evidence: dict[str, str]


def play(conversation: Conversation, pieces: Iterable[bytes], *, end: bool = False) -> Ending:
    conversation.opening()
    sent = b"".join([conversation.receive(piece) for piece in pieces])
    if end:
        conversation.ended()
    evidence = dict(conversation.evidence)
    evidence.pop("received", None)  # the first bytes seen: how many that were depends on the pieces
    return Ending(conversation.reach, conversation.done, sent, evidence)


def single_bytes(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


@st.composite
def pieces(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream, cut at random places."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def near(*answers: bytes) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes, and right answers with something changed, cut off or appended."""

    def damaged(answer: bytes) -> st.SearchStrategy[bytes]:
        return st.tuples(st.integers(0, len(answer)), st.binary(max_size=8), st.integers(0, 8)).map(
            lambda how: answer[: how[0]] + how[1] + answer[how[0] + how[2] :]
        )

    right = [damaged(answer) for answer in answers] + [st.just(answer) for answer in answers]
    return st.one_of(st.binary(max_size=200), *right)


def survives(make: Callable[[], Conversation], cut: list[bytes]) -> None:
    """Assert what holds of every conversation over TCP, whatever the peer sends."""
    stream = b"".join(cut)
    as_cut = play(make(), cut, end=True)
    assert as_cut == play(make(), [stream], end=True) == play(make(), single_bytes(stream), end=True)
    assert as_cut.done
    assert (as_cut.reach is Reach.CONNECTED) == (stream == b"")
    for text in as_cut.evidence.values():
        assert len(text) <= 4 * 255 + 3
        assert text.isprintable()
        assert text.isascii()
