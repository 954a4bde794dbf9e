using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace Platform.Domain.Daemons.Expressions.Language;

internal delegate Value Apply(Call call, Evaluation evaluation, in Value first, in Value second, in Value third);

/// <param name="Least">Arguments that must be given; the last parameters may be left out.</param>
internal sealed record Function(string Name, string Usage, IReadOnlyList<Kinds> Parameters, int Least, ExpressionType Result, Apply Apply)
{
    public bool IsMatch => Name == "matches";
}

/// <summary>Every function can be called as <c>f(a, b)</c> and as <c>a.f(b)</c>.</summary>
internal static class Functions
{
    private const Kinds Text = Kinds.String;
    private const Kinds Container = Kinds.String | Kinds.List | Kinds.Map;

    public static readonly Function Now = new("now", "now()", [], 0, ExpressionType.String, (_, evaluation, in _, in _, in _) =>
        Value.Of(evaluation.Scope.Now.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)));

    public static readonly FrozenDictionary<string, Function> All = new Function[]
    {
        new("size", "size(text, list or map)", [Container], 1, ExpressionType.Number, Size),
        new("startsWith", "text.startsWith(start)", [Text, Text], 2, ExpressionType.Bool, (call, e, in text, in start, in _) =>
            Value.Of(text.Text(e, call.Offset).StartsWith(start.Text(e, call.Offset), StringComparison.Ordinal))),
        new("endsWith", "text.endsWith(end)", [Text, Text], 2, ExpressionType.Bool, (call, e, in text, in end, in _) =>
            Value.Of(text.Text(e, call.Offset).EndsWith(end.Text(e, call.Offset), StringComparison.Ordinal))),
        new("contains", "text.contains(part)", [Text, Text], 2, ExpressionType.Bool, Contains),
        new("matches", "text.matches(pattern)", [Text, Text], 2, ExpressionType.Bool, (call, e, in text, in pattern, in _) =>
            Value.Of(call.Pattern(pattern.Text(e, call.Offset)).IsMatch(text.Text(e, call.Offset), e, call.Offset))),
        new("split", "text.split(separator)", [Text, Text], 2, ExpressionType.List, Split),
        new("join", "list.join(separator)", [Kinds.List, Text], 1, ExpressionType.String, Join),
        new("replace", "text.replace(part, by)", [Text, Text, Text], 3, ExpressionType.String, Replace),
        new("lower", "text.lower()", [Text], 1, ExpressionType.String, (call, e, in text, in _, in _) => Made(call, e, text.Text(e, call.Offset).ToLowerInvariant())),
        new("upper", "text.upper()", [Text], 1, ExpressionType.String, (call, e, in text, in _, in _) => Made(call, e, text.Text(e, call.Offset).ToUpperInvariant())),
        new("trim", "text.trim()", [Text], 1, ExpressionType.String, (call, e, in text, in _, in _) => Made(call, e, text.Text(e, call.Offset).Trim())),
        new("first", "list.first()", [Kinds.List], 1, ExpressionType.Any, (call, _, in list, in _, in _) => list.Count > 0 ? list.Item(0) : Value.Absent(call)),
        new("last", "list.last()", [Kinds.List], 1, ExpressionType.Any, Last),
        new("json", "json(value)", [Kinds.Any], 1, ExpressionType.String, (call, e, in value, in _, in _) => Value.Of(JsonText.ToJson(value, e, call.Offset))),
        new("string", "string(value)", [Kinds.Any], 1, ExpressionType.String, (call, e, in value, in _, in _) => Value.Of(JsonText.ToText(value, e, call.Offset))),
        new("number", "number(text or number)", [Text | Kinds.Number], 1, ExpressionType.Number, (call, e, in value, in _, in _) => Value.Of(Number(call, e, value))),
        new("int", "int(text or number)", [Text | Kinds.Number], 1, ExpressionType.Number, (call, e, in value, in _, in _) => Value.Of(decimal.Truncate(Number(call, e, value)))),
        Now,
    }.ToFrozenDictionary(function => function.Name, StringComparer.Ordinal);

    public static readonly string Names = string.Join(", ", All.Keys.Append("has").Concat(["map", "filter", "any", "all"]).Order(StringComparer.Ordinal));

    private static Value Made(Call call, Evaluation evaluation, string text)
    {
        evaluation.CheckText(text.Length, call.Offset);
        return Value.Of(text);
    }

    private static Value Size(Call call, Evaluation evaluation, in Value value, in Value second, in Value third)
    {
        if (value.Kind != Kind.String) { return Value.Of(value.Count); }

        // Unicode code points, as in CEL, whatever the encoding in memory.
        var text = value.Text(evaluation, call.Offset);
        evaluation.StepText(text.Length, call.Offset);
        var count = 0;
        foreach (var c in text) { count += char.IsLowSurrogate(c) ? 0 : 1; }

        return Value.Of(count);
    }

    private static Value Contains(Call call, Evaluation evaluation, in Value text, in Value part, in Value third)
    {
        var (whole, needle) = (text.Text(evaluation, call.Offset), part.Text(evaluation, call.Offset));
        evaluation.StepSearch(whole.Length, needle.Length, call.Offset);
        return Value.Of(whole.Contains(needle, StringComparison.Ordinal));
    }

    private static Value Split(Call call, Evaluation evaluation, in Value text, in Value separator, in Value third)
    {
        var (whole, by) = (text.Text(evaluation, call.Offset), separator.Text(evaluation, call.Offset));
        if (by.Length == 0)
        {
            evaluation.CheckList(whole.Length, call.Offset);
            return Value.Of([.. whole.EnumerateRunes().Select(rune => Value.Of(rune.ToString()))]);
        }

        evaluation.StepSearch(whole.Length, by.Length, call.Offset);
        evaluation.CheckList(Occurrences(whole, by) + 1, call.Offset);
        return Value.Of([.. whole.Split(by, StringSplitOptions.None).Select(Value.Of)]);
    }

    private static Value Join(Call call, Evaluation evaluation, in Value list, in Value separator, in Value third)
    {
        var by = separator.Kind == Kind.String ? separator.Text(evaluation, call.Offset) : "";
        var joined = new StringBuilder();
        var first = true;
        foreach (var item in list.Items(evaluation, call.Offset))
        {
            var text = JsonText.ToText(item, evaluation, call.Offset);
            evaluation.CheckText((long)joined.Length + by.Length + text.Length, call.Offset);
            if (!first) { joined.Append(by); }

            joined.Append(text);
            first = false;
        }

        return Value.Of(joined.ToString());
    }

    private static Value Replace(Call call, Evaluation evaluation, in Value text, in Value part, in Value replacement)
    {
        var (whole, needle, by) = (text.Text(evaluation, call.Offset), part.Text(evaluation, call.Offset), replacement.Text(evaluation, call.Offset));
        if (needle.Length == 0) { throw new ExpressionException("'replace' takes a text to look for, and this is empty.", call.Offset); }

        evaluation.StepSearch(whole.Length, needle.Length, call.Offset);
        evaluation.CheckText(whole.Length + ((long)Occurrences(whole, needle) * (by.Length - needle.Length)), call.Offset);
        return Value.Of(whole.Replace(needle, by, StringComparison.Ordinal));
    }

    private static int Occurrences(string whole, string part)
    {
        var count = 0;
        for (var at = whole.IndexOf(part, StringComparison.Ordinal); at >= 0; at = whole.IndexOf(part, at + part.Length, StringComparison.Ordinal)) { count++; }

        return count;
    }

    private static Value Last(Call call, Evaluation evaluation, in Value list, in Value second, in Value third)
    {
        evaluation.StepText(list.Count, call.Offset);
        return list.Count > 0 ? list.Item(list.Count - 1) : Value.Absent(call);
    }

    private static decimal Number(Call call, Evaluation evaluation, in Value value)
    {
        if (value.Kind == Kind.Number) { return value.Number(call.Offset); }

        var text = value.Text(evaluation, call.Offset);
        return decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new ExpressionException("The text is no number.", call.Offset);
    }
}
