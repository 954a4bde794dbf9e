using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>
/// Reads a regular expression as Oniguruma 6.9 reads it (its doc/RE, syntax Oniguruma), which is the reference's engine. What this reader is not sure to read alike, and what
/// cannot be matched in linear time, is refused by name.
/// </summary>
internal sealed partial class PatternParser
{
    /// <summary>In UTF-16 units. The longest in files of known models has some 600.</summary>
    public const int MaximalLength = 8192;

    /// <summary>Groups and classes in one another; known files have four.</summary>
    public const int MaximalDepth = 50;

    /// <summary>A bound or a code point of more digits is none.</summary>
    private const int MostDigits = 8;

    /// <summary>Of one part, one after the other; with no limit they would nest as deep as the expression is long.</summary>
    private const int MostQuantifiers = 4;

    private const uint End = uint.MaxValue;

    private static readonly CharacterSet LineFeed = CharacterSet.Of('\n');
    private static readonly CharacterSet NotLineFeed = LineFeed.Not();
    private static readonly PatternNode.Place TextStart = new(PlaceKind.TextStart, false);
    private static readonly PatternNode.Place TextEnd = new(PlaceKind.TextEnd, false);

    private readonly uint[] text;
    private readonly List<uint> letters = [];
    private int at;
    private int depth;

    private PatternParser(string pattern) => text = [.. pattern.EnumerateRunes().Select(rune => (uint)rune.Value)];

    private uint Next => at < text.Length ? text[at] : End;

    private uint Second => at + 1 < text.Length ? text[at + 1] : End;

    /// <exception cref="NotSupportedException">It is not supported, or not a regular expression.</exception>
    public static PatternNode Parse(string pattern)
    {
        if (pattern.Length > MaximalLength) { throw new NotSupportedException($"has {pattern.Length} characters; the limit is {MaximalLength}"); }

        var parser = new PatternParser(pattern);
        var node = parser.Choice(default);
        return parser.at == parser.text.Length ? node : throw Unsupported("a closing parenthesis that nothing opened");
    }

    /// <param name="IgnoresCase">(?i)</param>
    /// <param name="DotIsAll">(?m): the dot matches a line feed too.</param>
    private readonly record struct Options(bool IgnoresCase, bool DotIsAll);

    private static NotSupportedException Unsupported(string what) => new($"has {what}, which is not supported");

    private bool Takes(uint character)
    {
        if (Next != character) { return false; }

        at++;
        return true;
    }

    private bool Takes(string characters)
    {
        if (at + characters.Length > text.Length) { return false; }

        for (var i = 0; i < characters.Length; i++)
        {
            if (text[at + i] != characters[i]) { return false; }
        }

        at += characters.Length;
        return true;
    }

    private void Enter()
    {
        if (++depth > MaximalDepth) { throw new NotSupportedException($"has more than {MaximalDepth} groups in one another"); }
    }

    private PatternNode Choice(Options options)
    {
        var ways = new List<PatternNode> { Sequence(options) };
        while (Takes('|'))
        {
            letters.Clear();
            ways.Add(Sequence(options));
        }

        return ways.Count == 1 ? ways[0] : new PatternNode.Choice(ways);
    }

    private PatternNode Sequence(Options options)
    {
        var parts = new List<PatternNode>();
        while (Next is not (End or '|' or ')'))
        {
            var node = Atom(options, out var isRepeatable);
            parts.Add(Quantified(node, isRepeatable));
        }

        return parts.Count == 1 ? parts[0] : new PatternNode.Sequence(parts);
    }

    private PatternNode Quantified(PatternNode node, bool isRepeatable)
    {
        for (var count = 1; TryQuantifier(out var least, out var most, out var isInterval); count++)
        {
            if (count > MostQuantifiers) { throw Unsupported("so many quantifiers of one another"); }

            if (!isRepeatable) { throw Unsupported("a quantifier of a place, a look around or nothing"); }

            // Oniguruma ends such repetitions early, by rules that depend on how it writes them out.
            if (most > 1 && node.IsNullable) { throw Unsupported("a repetition of what can match nothing"); }

            var isLazy = Takes('?');
            if (isLazy && isInterval && least == most) { throw Unsupported("{n}?"); }

            node = new PatternNode.Repeat(node, least, most, isLazy);
            if (!isLazy && !isInterval && Takes('+')) { node = new PatternNode.Atomic(node); }
        }

        return node;
    }

    private bool TryQuantifier(out int least, out int most, out bool isInterval)
    {
        (least, most, isInterval) = (0, PatternNode.Unlimited, false);
        switch (Next)
        {
            case '*': break;
            case '+': least = 1; break;
            case '?': most = 1; break;
            case '{': isInterval = true; return TryInterval(out least, out most);
            default: return false;
        }

        at++;
        return true;
    }

    /// <summary>{n}, {n,}, {,m}, {n,m}; what else begins with a brace is a literal one.</summary>
    private bool TryInterval(out int least, out int most)
    {
        var start = at++;
        var isInterval = TryDecimal(out least);
        most = least;
        if (Takes(','))
        {
            if (TryDecimal(out most)) { isInterval = true; }
            else { most = PatternNode.Unlimited; }
        }

        if (!isInterval || !Takes('}'))
        {
            at = start;
            return false;
        }

        return most >= least ? true : throw Unsupported("an interval whose upper bound is the lower");
    }

    private bool TryDecimal(out int number)
    {
        var start = at;
        number = 0;
        while (Next is >= '0' and <= '9')
        {
            if (at - start == MostDigits) { throw Unsupported("a number of repetitions that high"); }

            number = (number * 10) + (int)(Next - '0');
            at++;
        }

        return at > start;
    }

    private PatternNode Atom(Options options, out bool isRepeatable)
    {
        isRepeatable = true;
        var character = Next;
        switch (character)
        {
            case '(': return Group(options, out isRepeatable);
            case '[':
                letters.Clear();
                at++;
                return Class(options);
            case '.':
                letters.Clear();
                at++;
                return new PatternNode.One(options.DotIsAll ? CharacterSet.All : NotLineFeed);
            case '^':
                isRepeatable = false;
                at++;
                letters.Clear();
                return new PatternNode.Choice([TextStart, new PatternNode.Sequence([new PatternNode.Behind([LineFeed], false), new PatternNode.Place(PlaceKind.TextEnd, true)])]);
            case '$':
                isRepeatable = false;
                at++;
                letters.Clear();
                return new PatternNode.Choice([TextEnd, new PatternNode.Ahead(new PatternNode.One(LineFeed), false)]);
            case '*' or '+' or '?': throw Unsupported("a quantifier of nothing");
            case '{' when TryInterval(out _, out _): throw Unsupported("a quantifier of nothing");
            case '\\': return Escape(options, out isRepeatable);
            default:
                at++;
                return Literal(character, options);
        }
    }

    private PatternNode.One Literal(uint character, Options options)
    {
        if (!options.IgnoresCase)
        {
            letters.Clear();
            return new(CharacterSet.Of(character));
        }

        // Oniguruma matches "ss" and U+00DF alike, wherever literals become one string.
        letters.Add(character);
        for (var length = 2; length <= Math.Min(3, letters.Count); length++)
        {
            if (CharacterProperties.IsCaseSequence([.. letters[^length..]])) { throw Unsupported($"'{string.Concat(letters[^length..].Select(letter => new Rune(letter)))}' without regard to case, which is one character too"); }
        }

        return CharacterProperties.HasCaseSequence(character)
            ? throw Unsupported($"'{new Rune(character)}' without regard to case, which is several characters too")
            : new(CharacterSet.Of(character).WithAllCases());
    }

    private PatternNode Escape(Options options, out bool isRepeatable)
    {
        isRepeatable = true;
        if (TryPlace(out var place))
        {
            letters.Clear();
            isRepeatable = false;
            return place;
        }

        if (TryEscapedSet(isInClass: false) is { } set)
        {
            letters.Clear();
            return new PatternNode.One(set);
        }

        return Literal(EscapedCharacter(), options);
    }

    private bool TryPlace(out PatternNode place)
    {
        place = Second switch
        {
            'A' => TextStart,
            'z' => TextEnd,
            'Z' => new PatternNode.Choice([TextEnd, new PatternNode.Ahead(new PatternNode.Sequence([new PatternNode.One(LineFeed), TextEnd]), false)]),
            'b' => new PatternNode.Choice([WordBorder(isWordBefore: true, isWordAhead: false), WordBorder(isWordBefore: false, isWordAhead: true)]),
            'B' => new PatternNode.Choice([WordBorder(isWordBefore: true, isWordAhead: true), WordBorder(isWordBefore: false, isWordAhead: false)]),
            _ => TextEnd,
        };
        if (Second is not ('A' or 'z' or 'Z' or 'b' or 'B')) { return false; }

        at += 2;
        return true;
    }

    private static PatternNode.Sequence WordBorder(bool isWordBefore, bool isWordAhead) =>
        new([new PatternNode.Behind([NamedSets.WordCharacter], !isWordBefore), new PatternNode.Ahead(new PatternNode.One(NamedSets.WordCharacter), !isWordAhead)]);

    private PatternNode Group(Options options, out bool isRepeatable)
    {
        isRepeatable = true;
        Enter();
        at++;
        PatternNode node;
        if (!Takes('?')) { node = Choice(options); }
        else if (Takes(':')) { node = Choice(options); }
        else if (Takes('=')) { node = Look(options, negative: false, out isRepeatable); }
        else if (Takes('!')) { node = Look(options, negative: true, out isRepeatable); }
        else if (Takes("<=")) { node = LookBehind(options, negative: false, out isRepeatable); }
        else if (Takes("<!")) { node = LookBehind(options, negative: true, out isRepeatable); }
        else if (Takes('>')) { node = new PatternNode.Atomic(Choice(options)); }
        else if (Takes('<'))
        {
            Name();
            node = Choice(options);
        }
        else
        {
            var changed = ReadOptions(options);

            // An option by itself holds to the end of the group, over its alternatives: a(?i)b|c is a(?i:b|c).
            if (Takes(')'))
            {
                letters.Clear();
                node = Choice(changed);
                depth--;
                return node;
            }

            if (!Takes(':')) { throw Unsupported("a kind of group"); }

            node = Choice(changed);
        }

        if (!Takes(')')) { throw Unsupported("a group that is not closed"); }

        depth--;
        return node;
    }

    private PatternNode.Ahead Look(Options options, bool negative, out bool isRepeatable)
    {
        isRepeatable = false;
        letters.Clear();
        var node = new PatternNode.Ahead(Choice(options), negative);
        letters.Clear();
        return node;
    }

    /// <summary>At a choice of sequences of characters: with `!` none of them may stand before.</summary>
    private PatternNode LookBehind(Options options, bool negative, out bool isRepeatable)
    {
        isRepeatable = false;
        letters.Clear();
        var body = Choice(options);
        letters.Clear();
        var ways = (body is PatternNode.Choice choice ? choice.Ways : [body]).Select(way => new PatternNode.Behind([.. Characters(way)], negative)).ToList();
        return negative ? new PatternNode.Sequence(ways) : new PatternNode.Choice(ways);
    }

    private static IEnumerable<CharacterSet> Characters(PatternNode node) => node switch
    {
        PatternNode.One one => [one.Set],
        PatternNode.Sequence { Parts: [_, ..] } sequence => sequence.Parts.SelectMany(Characters),
        _ => throw Unsupported("a look behind at something else than a choice of characters"),
    };

    private void Name()
    {
        var start = at;
        while (Next is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or '_' || (at > start && Next is >= '0' and <= '9')) { at++; }

        if (at == start || !Takes('>')) { throw Unsupported("a group with such a name"); }
    }

    private Options ReadOptions(Options options)
    {
        var isOn = true;
        for (; ; at++)
        {
            switch (Next)
            {
                case 'i': options = options with { IgnoresCase = isOn }; break;
                case 'm': options = options with { DotIsAll = isOn }; break;
                case '-' when isOn: isOn = false; break;
                case ':' or ')': return options;
                default: throw Unsupported($"'(?{(Next == End ? "" : new Rune(Next))}'");
            }
        }
    }
}
