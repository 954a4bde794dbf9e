using System.Text.Json;
using Platform.Domain.Daemons.Expressions.Language;

namespace Platform.Domain.Daemons.Expressions;

/// <summary>Where an expression finds its names.</summary>
public interface IScope
{
    bool TryGet(string name, out JsonElement value);

    /// <summary>The run's clock: an event, so a replay reads the same.</summary>
    DateTimeOffset Now { get; }
}

/// <summary>An error of an expression's text or of its evaluation.</summary>
/// <param name="Offset">In UTF-16 units from the start of the expression; in a template's error, from the start of the string at <see cref="Pointer"/>.</param>
public sealed record ExpressionError(string Message, int Offset)
{
    /// <summary>JSON pointer (RFC 6901) of the string in the template; empty for an expression by itself, and for a template that is one string.</summary>
    public string Pointer { get; init; } = "";
}

/// <summary>Thrown by parsing and evaluation: a syntax error, a missing name, a wrong type, a limit.</summary>
public sealed class ExpressionException(ExpressionError error) : Exception(error.Message)
{
    public ExpressionException(string message, int offset) : this(new ExpressionError(message, offset)) { }

    public ExpressionError Error { get; } = error;
}

/// <summary>A free name that an expression reads.</summary>
/// <param name="Path">The members after it as far as they are written out: <c>ticket.lines[0].text</c> gives <c>lines</c>.</param>
/// <param name="Offset">Of the name in the expression's text.</param>
/// <param name="Guarded">It stands to the left of <c>??</c> or in <c>has</c>: that it is missing is no error.</param>
public sealed record Reference(string Name, IReadOnlyList<string> Path, int Offset, bool Guarded);

/// <summary>A parsed expression: total, without I/O, of bounded cost (<see cref="ExpressionLimits"/>). The language is in docs/expressions.md.</summary>
public sealed class Expression
{
    private readonly Node root;
    private readonly int slots;

    internal Expression(string text, string pointer, int start, Node root, int slots)
    {
        Text = text;
        Pointer = pointer;
        Start = start;
        this.root = root;
        this.slots = slots;
        References = ReferenceCollector.Collect(root);
    }

    /// <summary>As written, without the <c>${</c> and <c>}</c> of a template.</summary>
    public string Text { get; }

    /// <summary>JSON pointer of the string that holds it in its template; empty for an expression parsed by itself.</summary>
    public string Pointer { get; }

    /// <summary>Where <see cref="Text"/> begins in that string.</summary>
    public int Start { get; }

    /// <summary>The free names in it, in the order of the text, each occurrence once. A macro's variable is not free.</summary>
    public IReadOnlyList<Reference> References { get; }

    /// <summary>Parses what stands between <c>${</c> and <c>}</c>, or a bare condition. With <c>${ }</c> around it, offsets count from the <c>$</c>.</summary>
    /// <exception cref="ExpressionException">The text is no expression; the error has the offset.</exception>
    public static Expression Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var start = text.AsSpan().IndexOfAnyExcept(Lexer.WhiteSpace);
        if (start >= 0 && text.AsSpan(start).StartsWith("${"))
        {
            var (wrapped, end) = Parser.ParseEmbedded(text, start + 2);
            var rest = text.AsSpan(end).IndexOfAnyExcept(Lexer.WhiteSpace);
            if (rest >= 0) { throw new ExpressionException("A single ${ ... } is expected here, and something stands after it.", end + rest); }

            return new Expression(text, "", 0, wrapped.Root, wrapped.Slots);
        }

        var parsed = Parser.ParseAll(text);
        return new Expression(text, "", 0, parsed.Root, parsed.Slots);
    }

    /// <summary>The answer may share the memory of the scope's values.</summary>
    /// <exception cref="ExpressionException"/>
    public JsonElement Evaluate(IScope scope)
    {
        var evaluation = new Evaluation(scope);
        return JsonText.ToElement(Evaluate(evaluation), evaluation);
    }

    /// <summary>Evaluates to a boolean; anything else is an error.</summary>
    /// <exception cref="ExpressionException"/>
    public bool EvaluateCondition(IScope scope)
    {
        var value = Evaluate(new Evaluation(scope));
        return value.Kind == Kind.Bool ? value.Bool : throw new ExpressionException($"A condition must be true or false, and this is {value.Kind.Describe()}.", root.Offset);
    }

    /// <summary>The type it certainly has, and the errors it certainly runs into, whatever the values are.</summary>
    public InferredType Infer(ITypeScope scope)
    {
        var inferring = new Inferring(scope);
        return new InferredType(root.Infer(inferring), inferring.Errors);
    }

    internal Value Evaluate(Evaluation evaluation)
    {
        evaluation.Begin(slots);
        return root.Evaluate(evaluation);
    }

    internal int RootOffset => root.Offset;
}
