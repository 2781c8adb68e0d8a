"""A sentence is logged when it changes, not again while it stays the same."""

from overbook.core.say_once import SayOnce


def test_a_sentence_is_said_when_it_changes() -> None:
    said: list[str] = []
    say = SayOnce(said.append)
    for sentence in ("a", "a", "b", "b", "a"):
        say(sentence)
    assert said == ["a", "b", "a"]


def test_a_sentence_is_said_again_after_it_was_over() -> None:
    said: list[str] = []
    say = SayOnce(said.append)
    assert say.over() is False
    say("a")
    assert say.over() is True
    say("a")
    assert said == ["a", "a"]


def test_sentences_about_several_things_do_not_mix() -> None:
    said: list[str] = []
    say = SayOnce(said.append)
    for about, sentence in (("x", "a"), ("y", "a"), ("x", "a"), ("y", "b")):
        say(sentence, about=about)
    assert said == ["a", "a", "b"]
    say.keep_only({"y"})
    say("a", about="x")
    say("b", about="y")
    assert said == ["a", "a", "b", "a"]
    assert len(say) == 2


def test_of_more_things_than_are_remembered_nothing_is_said() -> None:
    said: list[str] = []
    say = SayOnce(said.append, most=2)
    for sentence in ("a", "b", "c", "a", "c"):
        say(sentence, about=sentence)
    assert said == ["a", "b"]
    say("changed", about="a")
    assert said == ["a", "b", "changed"]
