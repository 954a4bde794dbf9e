namespace Platform.Domain.Daemons.Expressions.Language;

/// <param name="Slots">Variables of nested macros that live at the same time.</param>
internal sealed record Parsed(Node Root, int Slots);

/// <summary>Recursive descent. Loosest first: <c>?:</c>, <c>??</c>, <c>||</c>, <c>&amp;&amp;</c>, comparison and <c>in</c>, <c>+ -</c>, <c>* / %</c>, prefix, postfix.</summary>
internal sealed class Parser
{
    private const int LoosestBinary = 1;
    private const int Additive = 4;

    private static readonly string[] Reserved = ["null", "true", "false", "in", "now"];

    private readonly Lexer lexer;
    private readonly List<string> variables = [];
    private Token token;
    private int nesting;
    private int nodes;
    private int slots;

    private Parser(string text, int start)
    {
        lexer = new Lexer(text, start);
        token = lexer.Next();
    }

    public static Parsed ParseAll(string text)
    {
        CheckLength(text.Length, 0);
        var parser = new Parser(text, 0);
        var root = parser.ParseExpression();
        if (parser.token.Kind != TokenKind.End) { throw Unexpected(parser.token, "an operator or the end"); }

        return new Parsed(root, parser.slots);
    }

    /// <summary>Parses an expression inside a text, up to its closing brace.</summary>
    /// <returns>The tree, its offsets counted from the start of the text, and where the text goes on.</returns>
    public static (Parsed Parsed, int End) ParseEmbedded(string text, int start)
    {
        var parser = new Parser(text, start);
        var root = parser.ParseExpression();
        if (!parser.token.Is("}")) { throw Unexpected(parser.token, "an operator or '}'"); }

        CheckLength(parser.token.Start - start, start);
        return (new Parsed(root, parser.slots), parser.token.End);
    }

    public static void CheckLength(int length, int offset)
    {
        if (length > ExpressionLimits.SourceLength) { throw new ExpressionException($"An expression has at most {ExpressionLimits.SourceLength} characters.", offset); }
    }

    private static ExpressionException Unexpected(Token found, string wanted) => new($"Expected {wanted}, found {found.Describe()}.", found.Start);

    private Token Take()
    {
        var taken = token;
        token = lexer.Next();
        return taken;
    }

    private Token Take(string symbol) => token.Is(symbol) ? Take() : throw Unexpected(token, $"'{symbol}'");

    private bool TryTake(string symbol)
    {
        if (!token.Is(symbol)) { return false; }

        Take();
        return true;
    }

    private T Add<T>(T node) where T : Node
    {
        if (++nodes > ExpressionLimits.Nodes) { throw new ExpressionException($"An expression has at most {ExpressionLimits.Nodes} parts.", node.Offset); }

        if (node.Depth > ExpressionLimits.Depth) { throw TooDeep(node.Offset); }

        return node;
    }

    private static ExpressionException TooDeep(int offset) => new($"An expression nests at most {ExpressionLimits.Depth} levels.", offset);

    private Node ParseExpression()
    {
        // The tree's own depth is checked when a node is made; this stops the parser's recursion before there is one.
        if (++nesting > ExpressionLimits.Depth) { throw TooDeep(token.Start); }

        var condition = ParseCoalesce();
        if (token.Is("?"))
        {
            Take();
            var then = ParseExpression();
            Take(":");
            condition = Add(new Conditional(condition, then, ParseExpression()));
        }

        nesting--;
        return condition;
    }

    private Node ParseCoalesce()
    {
        // Right associative, built from a list so that a long chain does not recurse.
        var parts = new List<(Node Node, int Offset)> { (ParseBinary(LoosestBinary), 0) };
        while (token.Is("??"))
        {
            var at = Take().Start;
            parts.Add((ParseBinary(LoosestBinary), at));
        }

        var node = parts[^1].Node;
        for (var i = parts.Count - 2; i >= 0; i--) { node = Add(new Coalesce(parts[i].Node, node, parts[i + 1].Offset)); }

        return node;
    }

    private static int Precedence(Token operation) => operation switch
    {
        { Kind: TokenKind.Word, Text: "in" } => 3,
        { Kind: not TokenKind.Symbol } => 0,
        { Text: "||" } => LoosestBinary,
        { Text: "&&" } => 2,
        { Text: "==" or "!=" or "<" or "<=" or ">" or ">=" } => 3,
        { Text: "+" or "-" } => Additive,
        { Text: "*" or "/" or "%" } => 5,
        _ => 0,
    };

    private Node ParseBinary(int loosest)
    {
        var left = ParsePrefix();
        while (Precedence(token) is var precedence && precedence >= loosest && precedence > 0)
        {
            var operation = Take();
            var right = ParseBinary(precedence + 1);
            left = Add(Binary(operation, left, right));
        }

        return left;
    }

    private static Node Binary(Token operation, Node left, Node right) => operation.Text switch
    {
        "||" => new Logic(true, left, right, operation.Start),
        "&&" => new Logic(false, left, right, operation.Start),
        "==" => new Equality(true, left, right, operation.Start),
        "!=" => new Equality(false, left, right, operation.Start),
        "in" => new Contained(left, right, operation.Start),
        "<" or "<=" or ">" or ">=" => new Comparison(operation.Text, left, right, operation.Start),
        _ => new Arithmetic(operation.Text[0], left, right, operation.Start),
    };

    private Node ParsePrefix()
    {
        var prefixes = new Stack<Token>();
        while (token.Is("!") || token.Is("-"))
        {
            prefixes.Push(Take());
            if (prefixes.Count > ExpressionLimits.Depth) { throw TooDeep(token.Start); }
        }

        var node = ParsePostfix();
        while (prefixes.TryPop(out var prefix)) { node = Add<Node>(prefix.Is("!") ? new Not(node, prefix.Start) : new Negate(node, prefix.Start)); }

        return node;
    }

    private Node ParsePostfix()
    {
        var node = ParsePrimary();
        while (true)
        {
            if (TryTake("."))
            {
                if (token.Kind != TokenKind.Word) { throw Unexpected(token, "a name after '.'"); }

                var name = Take();
                node = token.Is("(") ? ParseCall(name, node) : Add(new Member(node, name.Text, name.Start));
            }
            else if (token.Is("["))
            {
                var at = Take().Start;
                var key = ParseExpression();
                Take("]");
                node = Add(new Index(node, key, at));
            }
            else
            {
                return node;
            }
        }
    }

    private Node ParsePrimary()
    {
        switch (token)
        {
            case { Kind: TokenKind.Number }:
                var number = Take();
                return Add(new Literal(Value.Of(number.Number), number.Start));
            case { Kind: TokenKind.String }:
                var text = Take();
                return Add(new Literal(Value.Of(text.Text), text.Start));
            case { Kind: TokenKind.Word }:
                return ParseWord();
            case { Kind: TokenKind.Symbol, Text: "(" }:
                Take();
                var inner = ParseExpression();
                Take(")");
                return inner;
            case { Kind: TokenKind.Symbol, Text: "[" }:
                var list = Take().Start;
                return Add(new ListLiteral(ParseSequence("]", ParseExpression), list));
            case { Kind: TokenKind.Symbol, Text: "{" }:
                var map = Take().Start;
                return Add(new MapLiteral(ParseSequence("}", ParseEntry), map));
            default:
                throw Unexpected(token, "a value");
        }
    }

    private Node ParseWord()
    {
        var word = Take();
        switch (word.Text)
        {
            case "null": return Add(new Literal(Value.Null, word.Start));
            case "true": return Add(new Literal(Value.True, word.Start));
            case "false": return Add(new Literal(Value.False, word.Start));
            case "in": throw Unexpected(word, "a value");
        }

        if (token.Is("(")) { return ParseCall(word, null); }

        if (word.Text == "now") { return Add(new Call(Functions.Now, [], word.Start)); }

        var slot = variables.LastIndexOf(word.Text);
        return slot >= 0 ? Add(new Variable(slot, word.Start)) : Add(new Name(word.Text, word.Start));
    }

    private (Node Key, Node Value) ParseEntry()
    {
        var key = ParseExpression();
        Take(":");
        return (key, ParseExpression());
    }

    private List<T> ParseSequence<T>(string close, Func<T> parse)
    {
        var items = new List<T>();
        while (!token.Is(close))
        {
            items.Add(parse());
            if (!TryTake(",")) { break; }
        }

        Take(close);
        return items;
    }

    private Node ParseCall(Token name, Node? receiver)
    {
        Take("(");
        if (name.Text == "has" && receiver is null) { return ParseHas(name); }

        if (Macro.TryKind(name.Text, out var macro))
        {
            return receiver is null
                ? throw new ExpressionException($"'{name.Text}' is called on a list: list.{name.Text}(x, ...).", name.Start)
                : ParseMacro(macro, name, receiver);
        }

        if (!Functions.All.TryGetValue(name.Text, out var function)) { throw new ExpressionException($"There is no function '{name.Text}'. There are: {Functions.Names}.", name.Start); }

        var arguments = ParseSequence(")", ParseExpression);
        if (receiver is not null) { arguments.Insert(0, receiver); }

        if (arguments.Count < function.Least || arguments.Count > function.Parameters.Count)
        {
            throw new ExpressionException($"'{name.Text}' is written {function.Usage}.", name.Start);
        }

        return Add(new Call(function, arguments, name.Start));
    }

    private Has ParseHas(Token name)
    {
        var path = ParseExpression();
        if (path is not (Name or Member or Index)) { throw new ExpressionException("'has' takes a name with members, such as has(ticket.reply).", path.Offset); }

        Take(")");
        return Add(new Has(path, name.Start));
    }

    private Macro ParseMacro(MacroKind kind, Token name, Node receiver)
    {
        if (token.Kind != TokenKind.Word) { throw Unexpected(token, "the name of a variable"); }

        var variable = Take();
        if (Reserved.Contains(variable.Text)) { throw new ExpressionException($"'{variable.Text}' cannot name a variable.", variable.Start); }

        Take(",");
        variables.Add(variable.Text);
        slots = Math.Max(slots, variables.Count);
        var body = ParseExpression();
        variables.RemoveAt(variables.Count - 1);
        Take(")");
        return Add(new Macro(kind, name.Text, receiver, variables.Count, body, name.Start));
    }
}
