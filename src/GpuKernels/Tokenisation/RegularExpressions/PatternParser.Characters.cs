using System.Globalization;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>Characters by escapes, and classes in brackets.</summary>
internal sealed partial class PatternParser
{
    private const int LongestPropertyName = 64;

    private PatternNode.One Class(Options options)
    {
        var set = Content(out var isNegated);
        if (options.IgnoresCase)
        {
            foreach (var character in CharacterProperties.WithCaseSequence)
            {
                if (!isNegated && set.Contains(character)) { throw Unsupported($"a class with '{new Rune(character)}' without regard to case, which is several characters too"); }
            }

            set = set.WithAllCases();
        }

        return new(isNegated ? set.Not() : set);
    }

    /// <summary>What stands after an opening bracket, to the closing one. Only the outermost class disregards case, before it is negated.</summary>
    private CharacterSet Content(out bool isNegated)
    {
        Enter();
        isNegated = Takes('^');
        CharacterSet? all = null;
        var some = new List<CharacterRange>();
        var isFirst = true;
        for (; ; isFirst = false)
        {
            if (Next == End) { throw Unsupported("a class that is not closed"); }

            if (Next == ']' && !isFirst)
            {
                at++;
                break;
            }

            if (Takes("&&"))
            {
                all = And(all, some);
                some.Clear();
                continue;
            }

            if (TrySet() is { } set)
            {
                some.AddRange(set.Ranges);
                if (Next == '-' && Second != ']') { throw Unsupported("a range of a class that begins with more than one character"); }

                continue;
            }

            var first = ClassCharacter();
            var last = first;
            if (Next == '-' && Second is not (']' or End))
            {
                at++;
                if (Next == '[' || (Next == '&' && Second == '&') || TrySet() is not null) { throw Unsupported("a range of a class that ends with more than one character"); }

                last = ClassCharacter();
                if (last < first) { throw Unsupported("a range of a class that ends before it begins"); }

                // A hyphen after a range is one.
                if (Next == '-' && Second != ']') { throw Unsupported("a hyphen after a range of a class"); }
            }

            some.Add(new(first, last));
        }

        depth--;
        return And(all, some);
    }

    private static CharacterSet And(CharacterSet? all, List<CharacterRange> some)
    {
        var set = CharacterSet.OfAny(some);
        return all is null ? set : all.And(set);
    }

    /// <summary>What is more than one character within a class: a class, a POSIX bracket, an escape.</summary>
    private CharacterSet? TrySet()
    {
        if (Next == '\\') { return TryEscapedSet(isInClass: true); }

        if (Next != '[') { return null; }

        at++;
        if (Next != ':')
        {
            var inner = Content(out var isNegated);
            if (!isNegated) { return inner; }

            // Oniguruma takes an empty list of ranges in a class for all characters.
            var others = inner.Not();
            return others.Ranges is [.., { Last: > 0x7F }] ? others : throw Unsupported("a class within a class that leaves no character but ASCII");
        }

        at++;
        var negative = Takes('^');
        var start = at;
        while (Next is >= 'a' and <= 'z') { at++; }

        var name = Spelled(start, at);
        var set = Takes(":]") ? NamedSets.Posix(name) : null;
        return set is null ? throw Unsupported($"the bracket '[:{name}'") : negative ? set.Not() : set;
    }

    private uint ClassCharacter()
    {
        if (Next == '\\')
        {
            if (Second != 'b') { return EscapedCharacter(); }

            at += 2;
            return '\b';
        }

        return text[at++];
    }

    /// <summary>null where the escape is of one character.</summary>
    private CharacterSet? TryEscapedSet(bool isInClass)
    {
        CharacterSet? set = Second switch
        {
            's' or 'S' => NamedSets.Space,
            'd' or 'D' => NamedSets.Digit,
            'w' or 'W' => isInClass ? NamedSets.WordInClass : NamedSets.WordCharacter,
            'h' or 'H' => NamedSets.HexDigit,
            'N' when !isInClass => LineFeed,
            'p' or 'P' => null,
            _ => null,
        };
        if (set is not null)
        {
            var isNegative = Second is 'S' or 'D' or 'W' or 'H' or 'N';
            at += 2;
            return isNegative ? set.Not() : set;
        }

        return Second is 'p' or 'P' ? Property(isInClass) : null;
    }

    private CharacterSet Property(bool isInClass)
    {
        var negative = Second == 'P';
        at += 2;
        if (!Takes('{')) { throw Unsupported("\\p without a name in braces"); }

        if (Takes('^')) { negative = !negative; }

        var start = at;
        while (Next is not (End or '}') && at - start < LongestPropertyName) { at++; }

        var name = Spelled(start, at);
        var set = Takes('}') ? NamedSets.Property(name, isInClass) : null;
        return set is null ? throw Unsupported($"the property '{name}'") : negative ? set.Not() : set;
    }

    private string Spelled(int start, int end) => string.Concat(text[start..end].Select(character => new Rune(character)));

    /// <summary>A backslash and what belongs to it.</summary>
    private uint EscapedCharacter()
    {
        var character = Second;
        at = Math.Min(at + 2, text.Length);
        switch (character)
        {
            case End: throw Unsupported("a backslash at its end");
            case 't': return '\t';
            case 'n': return '\n';
            case 'r': return '\r';
            case 'f': return '\f';
            case 'v': return '\v';
            case 'a': return '\a';
            case 'e': return 0x1B;
            case 'u': return Hexadecimal(4, 4);
            case 'x' when Takes('{'):
                var scalar = Hexadecimal(1, MostDigits);
                return Takes('}') ? scalar : throw Unsupported("\\x{ with other than one number");
            case 'x':
                // Oniguruma takes two digits for a byte of the text's encoding.
                var value = Hexadecimal(2, 2);
                return value < 0x80 ? value : throw Unsupported("\\x of a byte that is no character");
            case (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9'): throw Unsupported($"'\\{(char)character}'");
            default: return character;
        }
    }

    private uint Hexadecimal(int least, int most)
    {
        var start = at;
        while (at - start < most && Next < 0x80 && char.IsAsciiHexDigit((char)Next)) { at++; }

        return at - start >= least && uint.Parse(Spelled(start, at), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) is var scalar && Rune.IsValid(scalar)
            ? scalar
            : throw Unsupported("the number of a character that is none");
    }
}
