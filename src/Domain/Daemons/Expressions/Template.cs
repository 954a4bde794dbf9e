using System.Globalization;
using System.Text;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions.Language;

namespace Platform.Domain.Daemons.Expressions;

/// <summary>A JSON value whose strings may hold <c>${ ... }</c>: one that is a single expression keeps its type, an embedded one becomes text. <c>$${</c> stands for <c>${</c>; keys are never templates.</summary>
public sealed class Template
{
    private readonly Part? root;

    private Template(JsonElement source, Part? root, IReadOnlyList<Expression> expressions)
    {
        Source = source;
        this.root = root;
        Expressions = expressions;
    }

    public JsonElement Source { get; }

    /// <summary>Every expression in it, with the JSON pointer of the string that holds it (<see cref="Expression.Pointer"/>) and where in that string it starts.</summary>
    public IReadOnlyList<Expression> Expressions { get; }

    /// <exception cref="ExpressionException"/>
    public static Template Parse(JsonElement source)
    {
        // The template outlives the document that it was read from.
        var own = source.ValueKind == JsonValueKind.Undefined ? JsonElement.Parse("null"u8) : source.Clone();
        var expressions = new List<Expression>();
        return new Template(own, ParsePart(own, "", 1, expressions), expressions);
    }

    /// <summary>Its expressions share one bound on steps and size.</summary>
    /// <exception cref="ExpressionException">The error has the pointer of the string, and the offset in it.</exception>
    public JsonElement Evaluate(IScope scope)
    {
        if (root is null) { return Source; }

        var evaluation = new Evaluation(scope);
        if (root is Single single) { return JsonText.ToElement(single.Evaluate(evaluation), evaluation); }

        return JsonElement.Parse(JsonText.Write(writer => root.Write(writer, evaluation)).WrittenSpan);
    }

    /// <returns>Null when nothing in it is an expression.</returns>
    private static Part? ParsePart(JsonElement source, string pointer, int depth, List<Expression> expressions)
    {
        switch (source.ValueKind)
        {
            case JsonValueKind.String:
                return ParseText(Text(source.GetString, pointer), pointer, expressions);
            case JsonValueKind.Array:
            case JsonValueKind.Object:
                if (depth > ExpressionLimits.ResultDepth) { throw Error($"A template nests at most {ExpressionLimits.ResultDepth} levels.", 0, pointer); }

                var members = new List<(string? Key, JsonElement Source, Part? Part)>();
                if (source.ValueKind == JsonValueKind.Array)
                {
                    foreach (var item in source.EnumerateArray())
                    {
                        members.Add((null, item, ParsePart(item, $"{pointer}/{members.Count.ToString(CultureInfo.InvariantCulture)}", depth + 1, expressions)));
                    }
                }
                else
                {
                    foreach (var property in source.EnumerateObject())
                    {
                        var key = Text(() => property.Name, pointer);
                        members.Add((key, property.Value, ParsePart(property.Value, $"{pointer}/{key.Replace("~", "~0").Replace("/", "~1")}", depth + 1, expressions)));
                    }
                }

                return members.Exists(member => member.Part is not null) ? new Composite(source.ValueKind == JsonValueKind.Object, members) : null;
            case JsonValueKind.Undefined:
            case JsonValueKind.Number:
            case JsonValueKind.True:
            case JsonValueKind.False:
            case JsonValueKind.Null:
            default:
                return null;
        }
    }

    private static string Text(Func<string?> read, string pointer)
    {
        try
        {
            return read()!;
        }
        catch (InvalidOperationException)
        {
            throw Error("The text is not valid Unicode.", 0, pointer);
        }
    }

    private static Part? ParseText(string text, string pointer, List<Expression> expressions)
    {
        var pieces = new List<(string? Text, Expression? Expression)>();
        var literal = new StringBuilder();
        var changed = false;
        for (var at = 0; at < text.Length;)
        {
            var rest = text.AsSpan(at);
            if (rest.StartsWith("$${"))
            {
                literal.Append("${");
                at += 3;
                changed = true;
            }
            else if (rest.StartsWith("${"))
            {
                var (expression, end) = ParseExpression(text, at + 2, pointer);
                expressions.Add(expression);
                if (expressions.Count > ExpressionLimits.TemplateExpressions) { throw Error($"A template has at most {ExpressionLimits.TemplateExpressions} expressions.", at, pointer); }

                if (at == 0 && end == text.Length) { return new Single(expression); }

                if (literal.Length > 0) { pieces.Add((literal.ToString(), null)); }

                literal.Clear();
                pieces.Add((null, expression));
                at = end;
                changed = true;
            }
            else
            {
                var next = rest[1..].IndexOf('$');
                var length = next < 0 ? rest.Length : next + 1;
                literal.Append(rest[..length]);
                at += length;
            }
        }

        if (!changed) { return null; }

        if (literal.Length > 0) { pieces.Add((literal.ToString(), null)); }

        return new Mixed(pieces);
    }

    private static (Expression Expression, int End) ParseExpression(string text, int start, string pointer)
    {
        // Parsed apart from its text, so that offsets count from the expression's start; one character more than allowed shows that it is too long.
        var window = text.Substring(start, Math.Min(text.Length - start, ExpressionLimits.SourceLength + 1));
        try
        {
            var (parsed, end) = Parser.ParseEmbedded(window, 0);
            return (new Expression(window[..(end - 1)], pointer, start, parsed.Root, parsed.Slots), start + end);
        }
        catch (ExpressionException failed)
        {
            throw Error(failed.Error.Message, start + failed.Error.Offset, pointer);
        }
    }

    private static ExpressionException Error(string message, int offset, string pointer) => new(new ExpressionError(message, offset) { Pointer = pointer });

    private static Value Evaluate(Expression expression, Evaluation evaluation, out string? text, bool asText)
    {
        try
        {
            var value = expression.Evaluate(evaluation);
            text = asText ? JsonText.ToText(value, evaluation, expression.RootOffset) : null;
            return value;
        }
        catch (ExpressionException failed)
        {
            throw Error(failed.Error.Message, expression.Start + failed.Error.Offset, expression.Pointer);
        }
    }

    private abstract class Part
    {
        public abstract void Write(Utf8JsonWriter writer, Evaluation evaluation);
    }

    /// <summary>A string that is one expression.</summary>
    private sealed class Single(Expression expression) : Part
    {
        public Value Evaluate(Evaluation evaluation) => Template.Evaluate(expression, evaluation, out _, asText: false);

        public override void Write(Utf8JsonWriter writer, Evaluation evaluation) => JsonText.Write(writer, Evaluate(evaluation), evaluation);
    }

    /// <summary>A string with text and expressions.</summary>
    private sealed class Mixed(List<(string? Text, Expression? Expression)> pieces) : Part
    {
        public override void Write(Utf8JsonWriter writer, Evaluation evaluation)
        {
            var made = new StringBuilder();
            foreach (var (text, expression) in pieces)
            {
                var piece = text;
                if (expression is not null) { Template.Evaluate(expression, evaluation, out piece, asText: true); }

                evaluation.CheckText((long)made.Length + piece!.Length, 0);
                made.Append(piece);
            }

            JsonText.WriteText(writer, made.ToString(), evaluation);
        }
    }

    private sealed class Composite(bool isMap, List<(string? Key, JsonElement Source, Part? Part)> members) : Part
    {
        public override void Write(Utf8JsonWriter writer, Evaluation evaluation)
        {
            if (isMap) { writer.WriteStartObject(); } else { writer.WriteStartArray(); }

            foreach (var (key, source, part) in members)
            {
                if (key is not null) { writer.WritePropertyName(key); }

                if (part is null) { JsonText.Write(writer, source, evaluation); } else { part.Write(writer, evaluation); }
            }

            if (isMap) { writer.WriteEndObject(); } else { writer.WriteEndArray(); }
        }
    }
}
