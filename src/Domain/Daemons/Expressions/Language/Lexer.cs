using System.Buffers;
using System.Globalization;
using System.Text;

namespace Platform.Domain.Daemons.Expressions.Language;

internal enum TokenKind { End, Word, Number, String, Symbol }

/// <summary>A class, since the parser's frames, a hundred levels of them, would each hold many copies of a struct.</summary>
/// <param name="Text">The word, the symbol, or the string with its escapes resolved.</param>
internal sealed record Token(TokenKind Kind, string Text, decimal Number, int Start, int End)
{
    public bool Is(string symbol) => Kind == TokenKind.Symbol && Text == symbol;

    public bool IsWord(string word) => Kind == TokenKind.Word && Text == word;

    public string Describe() => Kind switch
    {
        TokenKind.End => "the end",
        TokenKind.String => "a string",
        TokenKind.Number => "a number",
        TokenKind.Word or TokenKind.Symbol => $"'{Text}'",
    };
}

/// <summary>Reads tokens on demand and never past the one asked for, so that a template's text may follow the closing brace.</summary>
internal sealed class Lexer(string text, int at)
{
    public static readonly SearchValues<char> WhiteSpace = SearchValues.Create(" \t\r\n");

    // Longer symbols first.
    private static readonly string[] Symbols =
        ["==", "!=", "<=", ">=", "&&", "||", "??", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}", ",", "."];

    private readonly int begin = at;
    private int at = at;

    public Token Next()
    {
        while (at < text.Length && WhiteSpace.Contains(text[at])) { at++; }

        var start = at;
        if (at == text.Length)
        {
            CheckLength();
            return new Token(TokenKind.End, "", 0, start, start);
        }

        var c = text[at];
        if (c is '\'' or '"') { return ReadString(c); }

        if (char.IsAsciiDigit(c)) { return ReadNumber(); }

        if (IsWordStart(c))
        {
            while (at < text.Length && (IsWordStart(text[at]) || char.IsAsciiDigit(text[at]))) { at++; }

            return new Token(TokenKind.Word, text[start..at], 0, start, at);
        }

        foreach (var symbol in Symbols)
        {
            if (string.CompareOrdinal(text, at, symbol, 0, symbol.Length) == 0)
            {
                at += symbol.Length;
                return new Token(TokenKind.Symbol, symbol, 0, start, at);
            }
        }

        throw new ExpressionException(c switch
        {
            '=' => "A single '=' is no operator: compare with '=='.",
            '&' => "A single '&' is no operator: write '&&'.",
            '|' => "A single '|' is no operator: write '||'.",
            '$' => "'${' cannot stand inside an expression.",
            _ when char.IsControl(c) || char.IsSurrogate(c) => $"The character U+{(int)c:X4} has no meaning here.",
            _ => $"The character '{c}' has no meaning here.",
        }, start);
    }

    /// <summary>At the end of the text: what was cut off there is too long before it is anything else.</summary>
    private void CheckLength() => Parser.CheckLength(at - begin, begin);

    private static bool IsWordStart(char c) => c == '_' || char.IsLetter(c);

    private Token ReadNumber()
    {
        var start = at;
        Digits();
        if (at + 1 < text.Length && text[at] == '.' && char.IsAsciiDigit(text[at + 1]))
        {
            at++;
            Digits();
        }

        if (at < text.Length && text[at] is 'e' or 'E')
        {
            at++;
            if (at < text.Length && text[at] is '+' or '-') { at++; }

            if (at == text.Length || !char.IsAsciiDigit(text[at])) { throw new ExpressionException("The exponent of the number has no digits.", start); }

            Digits();
        }

        if (at < text.Length && IsWordStart(text[at])) { throw new ExpressionException("A name cannot follow a number directly.", at); }

        return decimal.TryParse(text.AsSpan(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? new Token(TokenKind.Number, "", number, start, at)
            : throw new ExpressionException("The number is too large.", start);
    }

    private void Digits()
    {
        while (at < text.Length && char.IsAsciiDigit(text[at])) { at++; }
    }

    private Token ReadString(char quote)
    {
        var start = at++;
        var content = new StringBuilder();
        while (true)
        {
            if (at == text.Length)
            {
                CheckLength();
                throw new ExpressionException("The string is not closed.", start);
            }

            var c = text[at++];
            if (c == quote) { break; }

            if (c is '\n' or '\r') { throw new ExpressionException("A string stays on one line: write \\n.", at - 1); }

            content.Append(c == '\\' ? ReadEscape() : c);
        }

        var value = content.ToString();
        for (var i = 0; i < value.Length; i++)
        {
            if (!char.IsSurrogate(value[i])) { continue; }

            if (i + 1 == value.Length || !char.IsSurrogatePair(value[i], value[i + 1])) { throw new ExpressionException("The string is not valid Unicode: half a surrogate pair.", start); }

            i++;
        }

        return new Token(TokenKind.String, value, 0, start, at);
    }

    private char ReadEscape()
    {
        var start = at - 1;
        if (at == text.Length) { throw new ExpressionException("The string is not closed.", start); }

        var c = text[at++];
        if (c == 'u')
        {
            return at + 4 <= text.Length && ushort.TryParse(text.AsSpan(at, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var unit)
                ? Skip(4, (char)unit)
                : throw new ExpressionException("\\u takes four hexadecimal digits.", start);
        }

        return c switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\b',
            'f' => '\f',
            '\\' or '/' or '\'' or '"' => c,
            _ => throw new ExpressionException("Unknown escape: there are \\\\ \\/ \\' \\\" \\n \\r \\t \\b \\f \\uXXXX.", start),
        };
    }

    private char Skip(int count, char value)
    {
        at += count;
        return value;
    }
}
