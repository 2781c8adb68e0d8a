"""Every finding whose fix is a command has a node on which a test types it."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from overbook.node.doctor.check import HostFinding
from overbook.node.doctor.checks import CHECKS, swap
from tests.emulated.fix_scenes import NOT_HERE, SCENES, WITH_SYSTEMD

COMPUTED = {"KubeletRefusesSetting", "KubeletRefusesLater"}
"""Findings whose fix is a field of a fact: a text about the setting, never a command."""


def modules() -> list[ModuleType]:
    found = {inspect.getmodule(check.look) for check in CHECKS}
    return [module for module in found if module is not None]


def beginnings(node: ast.AST, module: ModuleType, functions: list[ast.FunctionDef]) -> Iterator[str]:
    """Yield how the text of an expression may begin, as far as its module says."""
    match node:
        case ast.Constant(value=text) if isinstance(text, str):
            yield text
        case ast.JoinedStr(values=[first, *rest]):
            for begin in beginnings(first, module, functions):
                yield begin + "".join(str(part.value) for part in rest[:1] if isinstance(part, ast.Constant))
        case ast.Name(id=name):
            yield from named(name, module, functions)
        case ast.Call(func=ast.Name(id=name), args=args):
            if inspect.isfunction(made := getattr(module, name, None)):
                yield from returned(made)
            for argument in args:  # the function may return it
                yield from beginnings(argument, module, functions)
        case ast.Subscript(value=ast.Name(id=name)):
            yield from (each if isinstance(each, str) else each[-1] for each in vars(module)[name].values())
        case _:
            yield from (begin for part in first_parts(node) for begin in beginnings(part, module, functions))


def first_parts(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions inside one that may be its beginning; of a sentence and a fix, the fix."""
    match node:
        case ast.FormattedValue(value=inner) | ast.BinOp(left=inner):
            yield inner
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.Tuple(elts=[inner, *_])]):
            yield inner
        case ast.Starred(value=inner) | ast.ListComp(elt=inner) | ast.Tuple(elts=[*_, inner]):
            yield inner


def named(name: str, module: ModuleType, functions: list[ast.FunctionDef]) -> Iterator[str]:
    """Follow a name to the module's value and to the assignments in the functions around it."""
    if isinstance(value := getattr(module, name, None), str):
        yield value
    for assigned in assignments(name, functions):
        yield from beginnings(assigned, module, functions)


def assignments(name: str, functions: list[ast.FunctionDef]) -> Iterator[ast.expr]:
    """Yield what functions assign to a name, also as one of several."""
    for each in (node for function in functions for node in ast.walk(function)):
        match each:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                yield from (value for target, value in pairs if ast.unparse(target) == name)
            case ast.Assign(targets=[ast.Tuple(elts=[*_, ast.Name(id=found)])], value=value) if found == name:
                yield value  # a pair, whose last part is the fix


def returned(function: object) -> Iterator[str]:
    module = inspect.getmodule(function)
    assert module is not None
    (tree,) = ast.parse(inspect.getsource(function)).body  # type: ignore[arg-type]
    assert isinstance(tree, ast.FunctionDef)
    for each in ast.walk(tree):
        if isinstance(each, ast.Return) and each.value is not None:
            yield from beginnings(each.value, module, [tree])


def fixes(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield each finding's word with a beginning of its fix."""
    tree = ast.parse(inspect.getsource(module))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == HostFinding.__name__:
                word, fix = call.args[1], call.args[-1]
                assert isinstance(word, ast.Constant), ast.unparse(call)
                name = str(word.value)
                begins = set(beginnings(fix, module, [function]))
                assert begins or name in COMPUTED, (
                    f"how the fix of {name} begins cannot be read from {module.__name__}"
                )
                for begin in begins:
                    yield name, begin


def commands() -> set[str]:
    """The words of findings whose fix is a command, or may be."""
    every = {pair for module in modules() for pair in fixes(module)}
    assert len({word for word, _ in every}) > 20
    return {word for word, begin in every if HostFinding("Note", word, "", begin).fix_is_command}


def test_every_fix_that_is_a_command_is_typed_somewhere() -> None:
    typed = {word for sick in SCENES.values() for word in sick.words} | WITH_SYSTEMD

    assert typed & set(NOT_HERE) == set()
    assert commands() == typed | set(NOT_HERE)


@pytest.mark.parametrize(
    ("source", "begins"),
    [
        ("APPLY", {"overbook node swap apply"}),
        ('f"{APPLY} --percent {facts.percent}"', {"overbook node swap apply --percent "}),
        ('f"swapoff {area.path} && {APPLY}"', {"swapoff "}),
        ('"rm x" if facts.leftovers else "ask"', {"rm x", "ask"}),
        ('"rm " + x', {"rm "}),
        ("facts.fix", set()),
        ('" && ".join((*[f"swapoff {each}" for each in facts.areas], APPLY))', {"swapoff "}),
        ('("swap is off", APPLY)', {"overbook node swap apply"}),
    ],
)
def test_the_beginning_of_a_fix_is_read_from_its_source(source: str, begins: set[str]) -> None:
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr)
    assert set(beginnings(statement.value, swap, [])) == begins
