using System.Text.Json;

namespace Platform.Domain.Daemons.Expressions;

/// <summary>Where an expression finds its names.</summary>
public interface IScope
{
    bool TryGet(string name, out JsonElement value);

    /// <summary>The run's clock: an event, so a replay reads the same.</summary>
    DateTimeOffset Now { get; }
}

/// <summary>An error of an expression's text or of its evaluation.</summary>
/// <param name="Offset">In UTF-16 units from the start of the expression.</param>
public sealed record ExpressionError(string Message, int Offset);

/// <summary>Thrown by evaluation: a missing name, a wrong type, a limit.</summary>
public sealed class ExpressionException(ExpressionError error) : Exception(error.Message)
{
    public ExpressionError Error { get; } = error;
}

/// <summary>A parsed expression: total, without I/O, of bounded cost.</summary>
public sealed class Expression
{
    private Expression(string text) => Text = text;

    public string Text { get; }

    /// <summary>Parses what stands between <c>${</c> and <c>}</c>, or a bare condition.</summary>
    /// <exception cref="ExpressionException">The text is no expression; the error has the offset.</exception>
    public static Expression Parse(string text) => new(text);

    /// <exception cref="ExpressionException"/>
    public JsonElement Evaluate(IScope scope) => throw new NotSupportedException(Text);

    /// <summary>Evaluates to a boolean; anything else is an error.</summary>
    /// <exception cref="ExpressionException"/>
    public bool EvaluateCondition(IScope scope) => throw new NotSupportedException(Text);
}

/// <summary>A JSON value whose strings may hold <c>${ ... }</c>: one that is a single expression keeps its type, an embedded one becomes text.</summary>
public sealed class Template
{
    private Template(JsonElement source) => Source = source;

    public JsonElement Source { get; }

    /// <summary>Every expression in it, with the JSON path of the string that holds it.</summary>
    public IReadOnlyList<Expression> Expressions { get; } = [];

    /// <exception cref="ExpressionException"/>
    public static Template Parse(JsonElement source) => new(source);

    /// <exception cref="ExpressionException"/>
    public JsonElement Evaluate(IScope scope) => throw new NotSupportedException(Source.ToString());
}
