"""A small interpreter for the snippets of the code task: whole numbers, functions, loops, branches. Python runs none.

Python's parser reads the snippet; this module walks the tree and knows only what is listed in it. A snippet can
neither import nor reach an attribute, and ends after a number of steps. The grammar: functions of whole numbers,
assignments, ``for ... in range(...)``, ``if`` and ``print``, with ``+ - * // %``, comparisons, ``len`` and ``str``.
"""

import ast
import operator

MOST_STEPS = 10_000
LONGEST_NUMBER = 10**30

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class SnippetError(ValueError):
    """A snippet uses something that the interpreter does not know, or does not end."""


class _Return(Exception):
    def __init__(self, value):
        super().__init__()
        self.value = value


def run_snippet(source):
    """What a snippet of the grammar above prints, one line for each ``print``; SnippetError for anything else."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SnippetError(f"line {error.lineno} cannot be read: {error.msg}") from error
    return _Machine().run(tree)


class _Machine:
    """The state of one run: functions, what was printed, steps taken."""

    def __init__(self):
        self.functions, self.printed, self.steps = {}, [], 0

    def run(self, tree):
        try:
            self.execute(tree.body, {})
        except _Return as returned:
            raise SnippetError("a return outside of a function") from returned
        return "\n".join(self.printed)

    def execute(self, statements, names):
        for statement in statements:
            self.count(statement)
            visit = getattr(self, f"do_{type(statement).__name__}", None)
            if visit is None:
                raise _unknown(statement)
            visit(statement, names)

    def count(self, node):
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise SnippetError(f"line {node.lineno}: more than {MOST_STEPS} steps")

    def do_FunctionDef(self, node, names):
        self.functions[node.name] = node

    def do_Assign(self, node, names):
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            raise _unknown(node)
        names[node.targets[0].id] = self.value(node.value, names)

    def do_For(self, node, names):
        if not (isinstance(node.target, ast.Name) and _calls(node.iter, "range") and not node.orelse):
            raise _unknown(node)
        bounds = [self.value(argument, names) for argument in node.iter.args]
        if not 1 <= len(bounds) <= 3 or any(type(bound) is not int for bound in bounds) or bounds[2:] == [0]:
            raise _unknown(node.iter)
        for i in range(*bounds):
            names[node.target.id] = i
            self.execute(node.body, names)

    def do_If(self, node, names):
        self.execute(node.body if self.value(node.test, names) else node.orelse, names)

    def do_Return(self, node, names):
        if node.value is None:
            raise _unknown(node)
        raise _Return(self.value(node.value, names))

    def do_Expr(self, node, names):
        if not _calls(node.value, "print") or len(node.value.args) != 1:
            raise _unknown(node)
        self.printed.append(str(self.value(node.value.args[0], names)))

    def value(self, node, names):
        self.count(node)
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.Name):
            if node.id not in names:
                raise SnippetError(f"line {node.lineno}: the name {node.id!r} has no value")
            return names[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return self.arithmetic(node, self.value(node.left, names), self.value(node.right, names))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            left, right = self.value(node.left, names), self.value(node.comparators[0], names)
            if type(left) is not type(right):
                raise SnippetError(f"line {node.lineno}: a comparison of two types")
            return _COMPARISONS[type(node.ops[0])](left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self.call(node, [self.value(argument, names) for argument in node.args])
        raise _unknown(node)

    def arithmetic(self, node, left, right):
        if type(left) is not int or type(right) is not int:
            raise SnippetError(f"line {node.lineno}: arithmetic is for whole numbers")
        if isinstance(node.op, ast.FloorDiv | ast.Mod) and right == 0:
            raise SnippetError(f"line {node.lineno}: division by zero")
        result = _ARITHMETIC[type(node.op)](left, right)
        if abs(result) > LONGEST_NUMBER:
            raise SnippetError(f"line {node.lineno}: a number of more than 30 digits")
        return result

    def call(self, node, arguments):
        name = node.func.id
        if name in self.functions:
            return self.call_function(node, self.functions[name], arguments)
        if name == "str" and len(arguments) == 1 and type(arguments[0]) is int:
            return str(arguments[0])
        if name == "len" and len(arguments) == 1 and type(arguments[0]) is str:
            return len(arguments[0])
        raise _unknown(node)

    def call_function(self, node, function, arguments):
        parameters = function.args
        plain = not (
            parameters.vararg
            or parameters.kwarg
            or parameters.kwonlyargs
            or parameters.posonlyargs
            or parameters.defaults
            or function.decorator_list
        )
        if not plain or len(parameters.args) != len(arguments):
            raise _unknown(node)
        try:
            self.execute(function.body, {p.arg: value for p, value in zip(parameters.args, arguments)})
        except _Return as returned:
            return returned.value
        except RecursionError as error:
            raise SnippetError(f"line {node.lineno}: calls are nested too deeply") from error
        raise SnippetError(f"line {node.lineno}: {function.name} returns nothing")


def _calls(node, name):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name and not node.keywords


def _unknown(node):
    return SnippetError(f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)!r} is not known here")
