namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>A part of an expression.</summary>
/// <param name="offset">Where an error of it is shown.</param>
/// <param name="parts">The parts that it evaluates.</param>
internal abstract class Node(int offset, params IReadOnlyList<Node> parts)
{
    public int Offset { get; } = offset;

    public IReadOnlyList<Node> Parts { get; } = parts;

    public int Depth { get; } = 1 + (parts.Count == 0 ? 0 : parts.Max(part => part.Depth));

    /// <summary>What to say when it is absent and nobody asked whether it is.</summary>
    public virtual string Absence => "There is no such value.";

    /// <summary>The value, or absent.</summary>
    public abstract Value Find(Evaluation evaluation);

    public abstract ExpressionType Infer(Inferring inferring);

    public Value Evaluate(Evaluation evaluation)
    {
        var value = Find(evaluation);
        return value.Kind == Kind.Absent ? throw new ExpressionException(value.AbsentAt.Absence, value.AbsentAt.Offset) : value;
    }

    protected static ExpressionException Wrong(Node part, in Value found, Kinds wanted, string user) =>
        new($"{user} takes {wanted.Describe()}, and this is {found.Kind.Describe()}.", part.Offset);

    protected static bool Holds(Node part, Evaluation evaluation, string user)
    {
        var value = part.Evaluate(evaluation);
        return value.Kind == Kind.Bool ? value.Bool : throw Wrong(part, value, Kinds.Bool, user);
    }
}

internal sealed class Literal(Value value, int offset) : Node(offset)
{
    public Value Value { get; } = value;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return Value;
    }

    public override ExpressionType Infer(Inferring inferring) => Value.Kind.ToType();
}

internal sealed class Name(string identifier, int offset) : Node(offset)
{
    public string Identifier { get; } = identifier;

    public override string Absence => $"There is no '{Identifier}'.";

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return evaluation.Scope.TryGet(Identifier, out var element) ? Value.Of(element) : Value.Absent(this);
    }

    public override ExpressionType Infer(Inferring inferring) => inferring.Scope.TypeOf(Identifier, []);
}

/// <summary>The variable of a macro around it.</summary>
internal sealed class Variable(int slot, int offset) : Node(offset)
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return evaluation[slot];
    }

    public override ExpressionType Infer(Inferring inferring) => ExpressionType.Any;
}

internal sealed class Member(Node target, string key, int offset) : Node(offset, target)
{
    public Node Target { get; } = target;

    public string Key { get; } = key;

    public override string Absence => $"There is no member '{Key}' here.";

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var from = Target.Find(evaluation);
        switch (from.Kind)
        {
            case Kind.Map: return from.TryMember(Key, evaluation, Offset, out var value) ? value : Value.Absent(this);
            case Kind.Null: return Value.Absent(this);
            case Kind.Absent: return from;
            case Kind.Bool:
            case Kind.Number:
            case Kind.String:
            case Kind.List:
            default: throw new ExpressionException($"'.{Key}' is asked of {from.Kind.Describe()}, which has no members.", Offset);
        }
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        var from = Target.Infer(inferring);
        if (from is not (ExpressionType.Any or ExpressionType.Map or ExpressionType.Null))
        {
            inferring.Errors.Add(new ExpressionError($"'.{Key}' is asked of {from.ToKind().Describe()}, which has no members.", Offset));
            return ExpressionType.Any;
        }

        return ReferenceCollector.TryPath(this, out var name, out var path) ? inferring.Scope.TypeOf(name!.Identifier, path) : ExpressionType.Any;
    }
}

internal sealed class Index(Node target, Node key, int offset) : Node(offset, target, key)
{
    public Node Target { get; } = target;

    public Node Key { get; } = key;

    public override string Absence => "There is no such element.";

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var from = Target.Find(evaluation);
        if (from.Kind == Kind.Absent) { return from; }

        var at = Key.Evaluate(evaluation);
        switch (from.Kind)
        {
            case Kind.Null:
                return Value.Absent(this);
            case Kind.Map:
                if (at.Kind != Kind.String) { throw Wrong(Key, at, Kinds.String, "A map's index"); }

                return from.TryMember(at.Text(evaluation, Offset), evaluation, Offset, out var value) ? value : Value.Absent(this);
            case Kind.List:
                if (at.Kind != Kind.Number) { throw Wrong(Key, at, Kinds.Number, "A list's index"); }

                var index = at.Number(Offset);
                if (decimal.Truncate(index) != index) { throw new ExpressionException("A list's index is a whole number.", Key.Offset); }

                evaluation.StepText(from.Count, Offset);
                return index >= 0 && index < from.Count ? from.Item((int)index) : Value.Absent(this);
            case Kind.Absent:
            case Kind.Bool:
            case Kind.Number:
            case Kind.String:
            default:
                throw new ExpressionException($"An element is asked of {from.Kind.Describe()}, which has none.", Offset);
        }
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        switch (inferring.Require(Target, Kinds.List | Kinds.Map | Kinds.Null, "An index"))
        {
            case ExpressionType.List:
                inferring.Require(Key, Kinds.Number, "A list's index");
                return ExpressionType.Any;
            case ExpressionType.Map:
                inferring.Require(Key, Kinds.String, "A map's index");
                break;
            case ExpressionType.Any:
            case ExpressionType.Null:
            case ExpressionType.Bool:
            case ExpressionType.Number:
            case ExpressionType.String:
            default:
                Key.Infer(inferring);
                break;
        }

        return ReferenceCollector.TryPath(this, out var name, out var path) ? inferring.Scope.TypeOf(name!.Identifier, path) : ExpressionType.Any;
    }
}

/// <summary>Whether a path leads to a value, be it null.</summary>
internal sealed class Has(Node path, int offset) : Node(offset, path)
{
    public Node Path { get; } = path;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return Value.Of(Path.Find(evaluation).Kind != Kind.Absent);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        Path.Infer(inferring);
        return ExpressionType.Bool;
    }
}

internal sealed class Coalesce(Node left, Node right, int offset) : Node(offset, left, right)
{
    public Node Left { get; } = left;

    public Node Right { get; } = right;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var value = Left.Find(evaluation);
        return value.Kind is Kind.Absent or Kind.Null ? Right.Find(evaluation) : value;
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        var (left, right) = (Left.Infer(inferring), Right.Infer(inferring));
        return left == ExpressionType.Null ? right : Inferring.Either(left, right);
    }
}

internal sealed class Conditional(Node condition, Node then, Node otherwise) : Node(condition.Offset, condition, then, otherwise)
{
    public Node Condition { get; } = condition;

    public Node Then { get; } = then;

    public Node Else { get; } = otherwise;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return (Holds(Condition, evaluation, "'?'") ? Then : Else).Find(evaluation);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        inferring.Require(Condition, Kinds.Bool, "'?'");
        return Inferring.Either(Then.Infer(inferring), Else.Infer(inferring));
    }
}

internal sealed class Logic(bool or, Node left, Node right, int offset) : Node(offset, left, right)
{
    private string Symbol => or ? "'||'" : "'&&'";

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return Value.Of(Holds(left, evaluation, Symbol) == or ? or : Holds(right, evaluation, Symbol));
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        inferring.Require(left, Kinds.Bool, Symbol);
        inferring.Require(right, Kinds.Bool, Symbol);
        return ExpressionType.Bool;
    }
}

internal sealed class Not(Node part, int offset) : Node(offset, part)
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        return Value.Of(!Holds(part, evaluation, "'!'"));
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        inferring.Require(part, Kinds.Bool, "'!'");
        return ExpressionType.Bool;
    }
}

internal sealed class Negate(Node part, int offset) : Node(offset, part)
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var value = part.Evaluate(evaluation);
        return value.Kind == Kind.Number ? Value.Of(-value.Number(Offset)) : throw Wrong(part, value, Kinds.Number, "'-'");
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        inferring.Require(part, Kinds.Number, "'-'");
        return ExpressionType.Number;
    }
}

internal sealed class Equality(bool equal, Node left, Node right, int offset) : Node(offset, left, right)
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var one = left.Evaluate(evaluation);
        var other = right.Evaluate(evaluation);
        return Value.Of(Value.AreEqual(one, other, evaluation, Offset) == equal);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        left.Infer(inferring);
        right.Infer(inferring);
        return ExpressionType.Bool;
    }
}

internal sealed class Comparison(string symbol, Node left, Node right, int offset) : Node(offset, left, right)
{
    private const Kinds Ordered = Kinds.Number | Kinds.String;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var one = left.Evaluate(evaluation);
        if ((one.Kind.ToKinds() & Ordered) == 0) { throw Wrong(left, one, Ordered, $"'{symbol}'"); }

        var other = right.Evaluate(evaluation);
        if (other.Kind != one.Kind) { throw Wrong(right, other, one.Kind.ToKinds(), $"'{symbol}' after {one.Kind.Describe()}"); }

        var order = one.Kind == Kind.Number
            ? one.Number(Offset).CompareTo(other.Number(Offset))
            : CompareTexts(one.Text(evaluation, Offset), other.Text(evaluation, Offset), evaluation);
        return Value.Of(symbol switch
        {
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        });
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        var one = inferring.Require(left, Ordered, $"'{symbol}'");
        var wanted = one is ExpressionType.Number or ExpressionType.String ? one.ToKind().ToKinds() : Ordered;
        inferring.Require(right, wanted, $"'{symbol}'");
        return ExpressionType.Bool;
    }

    private int CompareTexts(string one, string other, Evaluation evaluation)
    {
        evaluation.StepText(Math.Min(one.Length, other.Length), Offset);
        return string.CompareOrdinal(one, other);
    }
}

/// <summary><c>in</c>: an element of a list, a key of a map.</summary>
internal sealed class Contained(Node left, Node right, int offset) : Node(offset, left, right)
{
    private const Kinds Containers = Kinds.List | Kinds.Map;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var item = left.Evaluate(evaluation);
        var container = right.Evaluate(evaluation);
        if (container.Kind == Kind.Map)
        {
            return Value.Of(item.Kind == Kind.String && container.TryMember(item.Text(evaluation, Offset), evaluation, Offset, out _));
        }

        if (container.Kind != Kind.List) { throw Wrong(right, container, Containers, "'in'"); }

        foreach (var element in container.Items(evaluation, Offset))
        {
            if (Value.AreEqual(item, element, evaluation, Offset)) { return Value.True; }
        }

        return Value.False;
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        left.Infer(inferring);
        inferring.Require(right, Containers, "'in'");
        return ExpressionType.Bool;
    }
}

internal sealed class Arithmetic(char symbol, Node left, Node right, int offset) : Node(offset, left, right)
{
    private Kinds Operands => symbol == '+' ? Kinds.Number | Kinds.String | Kinds.List : Kinds.Number;

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var one = left.Evaluate(evaluation);
        if ((one.Kind.ToKinds() & Operands) == 0) { throw Wrong(left, one, Operands, $"'{symbol}'"); }

        var other = right.Evaluate(evaluation);
        if (other.Kind != one.Kind) { throw Wrong(right, other, one.Kind.ToKinds(), $"'{symbol}' after {one.Kind.Describe()}"); }

        return one.Kind switch
        {
            Kind.String => Concatenate(one.Text(evaluation, Offset), other.Text(evaluation, Offset), evaluation),
            Kind.List => Concatenate(one, other, evaluation),
            _ => Value.Of(Calculate(one.Number(Offset), other.Number(Offset))),
        };
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        var one = inferring.Require(left, Operands, $"'{symbol}'");
        var certain = (Operands & one.ToKind().ToKinds()) != 0;
        var other = inferring.Require(right, certain ? one.ToKind().ToKinds() : Operands, $"'{symbol}'");
        if (symbol != '+') { return ExpressionType.Number; }

        return certain ? one : other is ExpressionType.Number or ExpressionType.String or ExpressionType.List ? other : ExpressionType.Any;
    }

    private Value Concatenate(string one, string other, Evaluation evaluation)
    {
        evaluation.CheckText((long)one.Length + other.Length, Offset);
        return Value.Of(one + other);
    }

    private Value Concatenate(in Value one, in Value other, Evaluation evaluation)
    {
        evaluation.CheckList((long)one.Count + other.Count, Offset);
        return Value.Of([.. one.Items(evaluation, Offset), .. other.Items(evaluation, Offset)]);
    }

    private decimal Calculate(decimal one, decimal other)
    {
        if (other == 0 && symbol is '/' or '%') { throw new ExpressionException("Division by zero.", Offset); }

        try
        {
            return symbol switch
            {
                '+' => one + other,
                '-' => one - other,
                '*' => one * other,
                '/' => one / other,
                _ => one % other,
            };
        }
        catch (OverflowException)
        {
            throw new ExpressionException("The result is too large a number.", Offset);
        }
    }
}

internal sealed class ListLiteral(IReadOnlyList<Node> items, int offset) : Node(offset, items)
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var values = new Value[Parts.Count];
        for (var i = 0; i < values.Length; i++) { values[i] = Parts[i].Evaluate(evaluation); }

        return Value.Of(values);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        foreach (var item in Parts) { item.Infer(inferring); }

        return ExpressionType.List;
    }
}

internal sealed class MapLiteral(List<(Node Key, Node Value)> entries, int offset) : Node(offset, [.. entries.SelectMany(entry => new[] { entry.Key, entry.Value })])
{
    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var members = new OrderedDictionary<string, Value>(entries.Count, StringComparer.Ordinal);
        foreach (var (keyNode, valueNode) in entries)
        {
            var key = keyNode.Evaluate(evaluation);
            if (key.Kind != Kind.String) { throw Wrong(keyNode, key, Kinds.String, "A map's key"); }

            var text = key.Text(evaluation, keyNode.Offset);
            if (!members.TryAdd(text, valueNode.Evaluate(evaluation))) { throw new ExpressionException("The map has this key twice.", keyNode.Offset); }
        }

        return Value.Of(members);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        foreach (var (key, value) in entries)
        {
            inferring.Require(key, Kinds.String, "A map's key");
            value.Infer(inferring);
        }

        return ExpressionType.Map;
    }
}

internal sealed class Call(Function function, IReadOnlyList<Node> arguments, int offset) : Node(offset, arguments)
{
    /// <summary>Of <c>matches</c> with a literal pattern, so that a bad one is an error of the text and a good one is made once.</summary>
    private readonly Pattern? pattern = function.IsMatch && arguments[1] is Literal { Value.Kind: Kind.String } literal
        ? Language.Pattern.Of(literal.Value.PlainText, literal.Offset)
        : null;

    public override string Absence => "The list is empty.";

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var first = Parts.Count > 0 ? Argument(0, evaluation) : default;
        var second = Parts.Count > 1 ? Argument(1, evaluation) : default;
        var third = Parts.Count > 2 ? Argument(2, evaluation) : default;
        return function.Apply(this, evaluation, first, second, third);
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        for (var i = 0; i < Parts.Count; i++) { inferring.Require(Parts[i], function.Parameters[i], $"'{function.Name}'"); }

        return function.Result;
    }

    public Pattern Pattern(string text) => pattern ?? Language.Pattern.Of(text, Parts[1].Offset);

    private Value Argument(int index, Evaluation evaluation)
    {
        var value = Parts[index].Evaluate(evaluation);
        return (value.Kind.ToKinds() & function.Parameters[index]) != 0 ? value : throw Wrong(Parts[index], value, function.Parameters[index], $"'{function.Name}'");
    }
}

internal enum MacroKind { Map, Filter, Any, All }

/// <summary>Goes through the elements of a list, or the keys of a map, with a variable bound to each.</summary>
internal sealed class Macro(MacroKind kind, string name, Node target, int slot, Node body, int offset) : Node(offset, target, body)
{
    private const Kinds Containers = Kinds.List | Kinds.Map;

    public static bool TryKind(string name, out MacroKind kind)
    {
        (var known, kind) = name switch
        {
            "map" => (true, MacroKind.Map),
            "filter" => (true, MacroKind.Filter),
            "any" => (true, MacroKind.Any),
            "all" => (true, MacroKind.All),
            _ => (false, default),
        };
        return known;
    }

    public override Value Find(Evaluation evaluation)
    {
        evaluation.Step(Offset);
        var container = target.Evaluate(evaluation);
        if ((container.Kind.ToKinds() & Containers) == 0) { throw Wrong(target, container, Containers, $"'{name}'"); }

        var items = container.Items(evaluation, Offset);
        switch (kind)
        {
            case MacroKind.Map:
                var mapped = new Value[items.Length];
                for (var i = 0; i < items.Length; i++)
                {
                    evaluation[slot] = items[i];
                    mapped[i] = body.Evaluate(evaluation);
                }

                return Value.Of(mapped);
            case MacroKind.Filter:
                var kept = new List<Value>();
                foreach (var item in items)
                {
                    if (Holds(item, evaluation)) { kept.Add(item); }
                }

                return Value.Of([.. kept]);
            case MacroKind.Any:
            case MacroKind.All:
            default:
                var decisive = kind == MacroKind.Any;
                foreach (var item in items)
                {
                    if (Holds(item, evaluation) == decisive) { return Value.Of(decisive); }
                }

                return Value.Of(!decisive);
        }
    }

    public override ExpressionType Infer(Inferring inferring)
    {
        inferring.Require(target, Containers, $"'{name}'");
        if (kind == MacroKind.Map)
        {
            body.Infer(inferring);
            return ExpressionType.List;
        }

        inferring.Require(body, Kinds.Bool, $"'{name}'");
        return kind == MacroKind.Filter ? ExpressionType.List : ExpressionType.Bool;
    }

    private bool Holds(in Value item, Evaluation evaluation)
    {
        evaluation[slot] = item;
        return Holds(body, evaluation, $"'{name}'");
    }
}
