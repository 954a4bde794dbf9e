using System.Text.Json;

namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>Absent is the answer for a missing name or member: an error, unless <c>??</c> or <c>has</c> takes it.</summary>
internal enum Kind { Absent, Null, Bool, Number, String, List, Map }

[Flags]
internal enum Kinds
{
    Null = 1 << Kind.Null,
    Bool = 1 << Kind.Bool,
    Number = 1 << Kind.Number,
    String = 1 << Kind.String,
    List = 1 << Kind.List,
    Map = 1 << Kind.Map,
    Any = Null | Bool | Number | String | List | Map,
}

internal static class KindNames
{
    public static string Describe(this Kind kind) => kind switch
    {
        Kind.Absent => "missing",
        Kind.Null => "null",
        Kind.Bool => "a boolean",
        Kind.Number => "a number",
        Kind.String => "a string",
        Kind.List => "a list",
        Kind.Map => "a map",
    };

    public static string Describe(this Kinds kinds)
    {
        var names = Enum.GetValues<Kind>().Where(kind => kind != Kind.Absent && (kinds & kind.ToKinds()) != 0).Select(Describe).ToList();
        return names.Count == 1 ? names[0] : $"{string.Join(", ", names.SkipLast(1))} or {names[^1]}";
    }

    public static Kinds ToKinds(this Kind kind) => (Kinds)(1 << (int)kind);

    public static Kind ToKind(this ExpressionType type) => type switch
    {
        ExpressionType.Any => Kind.Absent,
        ExpressionType.Null => Kind.Null,
        ExpressionType.Bool => Kind.Bool,
        ExpressionType.Number => Kind.Number,
        ExpressionType.String => Kind.String,
        ExpressionType.List => Kind.List,
        ExpressionType.Map => Kind.Map,
    };

    public static ExpressionType ToType(this Kind kind) => kind switch
    {
        Kind.Absent => ExpressionType.Any,
        Kind.Null => ExpressionType.Null,
        Kind.Bool => ExpressionType.Bool,
        Kind.Number => ExpressionType.Number,
        Kind.String => ExpressionType.String,
        Kind.List => ExpressionType.List,
        Kind.Map => ExpressionType.Map,
    };
}

/// <summary>A value during evaluation: either JSON of the scope, decoded only where it is used, or one that the expression made.</summary>
internal readonly struct Value
{
    private readonly object? made;
    private readonly decimal number;
    private readonly JsonElement element;

    private Value(Kind kind, object? made = null, decimal number = 0)
    {
        Kind = kind;
        this.made = made;
        this.number = number;
    }

    private Value(Kind kind, JsonElement element)
    {
        Kind = kind;
        this.element = element;
    }

    public static readonly Value Null = new(Kind.Null);
    public static readonly Value True = new(Kind.Bool, number: 1);
    public static readonly Value False = new(Kind.Bool);

    public Kind Kind { get; }

    public bool Bool => number != 0;

    /// <summary>The node that found nothing.</summary>
    public Node AbsentAt => (Node)made!;

    /// <summary>The JSON it came as; false when the expression made it.</summary>
    public bool TryGetElement(out JsonElement source)
    {
        source = element;
        return element.ValueKind != JsonValueKind.Undefined;
    }

    public static Value Of(bool value) => value ? True : False;

    public static Value Of(string value) => new(Kind.String, value);

    /// <summary>Drops the scale that arithmetic leaves, so that 0.5 + 0.5 is written 1.</summary>
    public static Value Of(decimal value) => new(Kind.Number, number: value == 0 ? 0 : value.Scale == 0 ? value : value / 1.000000000000000000000000000000000m);

    public static Value Of(Value[] items) => new(Kind.List, items);

    public static Value Of(OrderedDictionary<string, Value> members) => new(Kind.Map, members);

    public static Value Absent(Node at) => new(Kind.Absent, at);

    public static Value Of(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.True => True,
        JsonValueKind.False => False,
        JsonValueKind.Number => new(Kind.Number, element),
        JsonValueKind.String => new(Kind.String, element),
        JsonValueKind.Array => new(Kind.List, element),
        JsonValueKind.Object => new(Kind.Map, element),
        JsonValueKind.Undefined or JsonValueKind.Null => Null,
        _ => Null,
    };

    /// <summary>The text of a literal, which never came from JSON.</summary>
    public string PlainText => (string)made!;

    public string Text(Evaluation evaluation, int offset)
    {
        if (made is string text) { return text; }

        evaluation.StepText(element.RawLength(), offset);
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // JSON may escape half a surrogate pair, or hold bytes that are no UTF-8; that shows only when the string is read.
            throw new ExpressionException("A string in the data is not valid Unicode.", offset);
        }
    }

    public decimal Number(int offset)
    {
        if (element.ValueKind == JsonValueKind.Undefined) { return number; }

        return element.TryGetDecimal(out var value) ? value : throw new ExpressionException("A number in the data is too large to calculate with.", offset);
    }

    /// <summary>Elements of a list, members of a map.</summary>
    public int Count => made switch
    {
        Value[] items => items.Length,
        OrderedDictionary<string, Value> members => members.Count,
        _ => Kind == Kind.List ? element.GetArrayLength() : element.GetPropertyCount(),
    };

    public Value Item(int index) => made is Value[] items ? items[index] : Of(element[index]);

    /// <summary>The elements of a list, or the keys of a map.</summary>
    public Value[] Items(Evaluation evaluation, int offset)
    {
        if (made is Value[] list) { return list; }

        evaluation.CheckList(Count, offset);
        var items = new Value[Count];
        var at = 0;
        if (made is OrderedDictionary<string, Value> members)
        {
            foreach (var key in members.Keys) { items[at++] = Of(key); }
        }
        else if (Kind == Kind.List)
        {
            foreach (var item in element.EnumerateArray()) { items[at++] = Of(item); }
        }
        else
        {
            foreach (var member in element.EnumerateObject()) { items[at++] = Of(NameOf(member, offset)); }
        }

        return items;
    }

    public bool TryMember(string key, Evaluation evaluation, int offset, out Value value)
    {
        if (made is OrderedDictionary<string, Value> members) { return members.TryGetValue(key, out value); }

        evaluation.StepText(element.GetPropertyCount(), offset);
        try
        {
            var there = element.TryGetProperty(key, out var found);
            value = there ? Of(found) : default;
            return there;
        }
        catch (InvalidOperationException)
        {
            throw new ExpressionException("A key in the data is not valid Unicode.", offset);
        }
    }

    /// <summary>Equality as in CEL: values of different types are unequal, numbers compare by value, maps regardless of order.</summary>
    public static bool AreEqual(in Value a, in Value b, Evaluation evaluation, int offset, int depth = 0)
    {
        evaluation.Step(offset);
        if (a.Kind != b.Kind) { return false; }

        // Deeper than the syntax tree and a JSON document together: only a scope that lifted its reader's limit gets here.
        if (depth > ExpressionLimits.Depth + ExpressionLimits.ResultDepth) { throw new ExpressionException("The compared values are nested too deeply.", offset); }

        switch (a.Kind)
        {
            case Kind.Bool:
                return a.Bool == b.Bool;
            case Kind.Number:
                return a.Number(offset) == b.Number(offset);
            case Kind.String:
                var (left, right) = (a.Text(evaluation, offset), b.Text(evaluation, offset));
                evaluation.StepText(left.Length, offset);
                return string.Equals(left, right, StringComparison.Ordinal);
            case Kind.List:
                if (a.Count != b.Count) { return false; }

                var (ones, others) = (a.Items(evaluation, offset), b.Items(evaluation, offset));
                for (var i = 0; i < ones.Length; i++)
                {
                    if (!AreEqual(ones[i], others[i], evaluation, offset, depth + 1)) { return false; }
                }

                return true;
            case Kind.Map:
                if (a.Count != b.Count) { return false; }

                foreach (var item in a.Items(evaluation, offset))
                {
                    var key = item.PlainText;
                    if (!b.TryMember(key, evaluation, offset, out var other)) { return false; }

                    a.TryMember(key, evaluation, offset, out var one);
                    if (!AreEqual(one, other, evaluation, offset, depth + 1)) { return false; }
                }

                return true;
            case Kind.Absent:
            case Kind.Null:
            default:
                return true;
        }
    }

    /// <summary>The members of a map that the expression made; null when it came as JSON.</summary>
    public OrderedDictionary<string, Value>? MadeMembers => made as OrderedDictionary<string, Value>;

    private static string NameOf(JsonProperty member, int offset)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            throw new ExpressionException("A key in the data is not valid Unicode.", offset);
        }
    }
}
