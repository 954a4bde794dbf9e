using System.Buffers;
using System.Numerics;
using System.Text;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

internal enum StepKind : byte
{
    /// <summary>The pattern, or what a look ahead looks for, has matched.</summary>
    Match,

    /// <summary>Takes a character of a set.</summary>
    Take,

    /// <summary>Goes on at one step, or where that leads to no match at another.</summary>
    Either,

    /// <summary>Whether characters stand before.</summary>
    Behind,

    TextStart,
    TextEnd,

    /// <summary>Whether from another step a match is reached.</summary>
    Ahead,
}

/// <param name="Next">What comes after.</param>
/// <param name="Other">Either: the second choice. Ahead: where what is looked for begins.</param>
/// <param name="Set">Take: the number of the set. Behind: the number of the sets.</param>
internal readonly record struct Step(StepKind Kind, int Next, int Other, int Set, bool Negative);

/// <summary>
/// A pattern as a nondeterministic automaton. No loop of it is without a Take, so that what can be reached at a place of the text is found in one pass over the steps; and
/// characters that no set tells apart are one class.
/// </summary>
internal sealed class PatternProgram
{
    /// <summary>Bounds the work for a character of a text. Patterns of known models have some 150.</summary>
    public const int MaximalSteps = 2000;

    /// <summary>Class 0 is the beginning of the text; the others fit a byte.</summary>
    private const int MaximalClasses = 255;

    /// <summary>Each time nests in the one before.</summary>
    private const int MostAtomicTimes = 100;

    private readonly List<Step> steps = [];
    private readonly List<CharacterSet> sets = [];

    /// <summary>The numbers of the sets of each look behind.</summary>
    private readonly List<int[]> behinds = [];

    /// <summary>By set and class.</summary>
    private readonly bool[][] isInClass;

    private PatternProgram(PatternNode node)
    {
        var match = Add(new(StepKind.Match, -1, -1, -1, false));
        Start = Compile(node, match);
        Order = Ordered();
        (Classes, isInClass) = Classify();
        Contexts = PatternContexts.Of(behinds, isInClass, ClassCount);
        AsciiClasses = [.. Enumerable.Range(0, 0x80).Select(value => Classes[(uint)value])];
        Entries = [.. steps.Where(step => step.Kind == StepKind.Take).Select(step => step.Next).Append(Start).Distinct().Order()];
        FirstBytes = FindFirstBytes();
        EntryAfter = [.. steps.Select(step => step.Kind == StepKind.Take ? Array.BinarySearch(Entries, step.Next) : -1)];
        StartEntry = Array.BinarySearch(Entries, Start);
        Words = (steps.Count + 63) / 64;
        TakenBy = new ulong[ClassCount][];
        for (var number = 0; number < ClassCount; number++)
        {
            TakenBy[number] = new ulong[Words];
            for (var i = 0; i < steps.Count; i++)
            {
                if (steps[i].Kind == StepKind.Take && isInClass[steps[i].Set][number]) { TakenBy[number][i >> 6] |= 1UL << i; }
            }
        }
    }

    public IReadOnlyList<Step> Steps => steps;

    public int Start { get; }

    /// <summary>The steps, each after those that it leads to without a character.</summary>
    public int[] Order { get; }

    /// <summary>The class of each character, from 1.</summary>
    public CharacterMap<byte> Classes { get; }

    /// <summary>Of those below 0x80.</summary>
    public byte[] AsciiClasses { get; }

    /// <summary>What stands before a place.</summary>
    public PatternContexts Contexts { get; }

    /// <summary>The bytes that a match may begin with; null where one may be empty.</summary>
    public SearchValues<byte>? FirstBytes { get; }

    /// <summary>The steps that a match may go on at after a character, or begin at.</summary>
    public int[] Entries { get; }

    /// <summary>By step: the number of the entry after it; only of those that take a character.</summary>
    public int[] EntryAfter { get; }

    public int StartEntry { get; }

    /// <summary>Of 64 steps each.</summary>
    public int Words { get; }

    /// <summary>By class: the steps that take its characters.</summary>
    public ulong[][] TakenBy { get; }

    /// <exception cref="NotSupportedException">It is not supported.</exception>
    public static PatternProgram Compile(string pattern) => new(PatternParser.Parse(pattern));

    private int ClassCount => isInClass.Length == 0 ? 2 : isInClass[0].Length;

    private int Add(Step step)
    {
        if (steps.Count == MaximalSteps) { throw new NotSupportedException($"has more than {MaximalSteps} steps with its repetitions written out"); }

        steps.Add(step);
        return steps.Count - 1;
    }

    private int SetOf(CharacterSet set)
    {
        var known = sets.FindIndex(other => other.Ranges.SequenceEqual(set.Ranges));
        if (known >= 0) { return known; }

        sets.Add(set);
        return sets.Count - 1;
    }

    private int BehindOf(int[] numbers)
    {
        var known = behinds.FindIndex(other => other.SequenceEqual(numbers));
        if (known >= 0) { return known; }

        behinds.Add(numbers);
        return behinds.Count - 1;
    }

    /// <summary>Adds what matches a node and then goes on at a step.</summary>
    private int Compile(PatternNode node, int next)
    {
        switch (node)
        {
            case PatternNode.One one: return Add(new(StepKind.Take, next, -1, SetOf(one.Set), false));
            case PatternNode.Behind behind: return Add(new(StepKind.Behind, next, -1, BehindOf([.. behind.Sets.Select(SetOf)]), behind.Negative));
            case PatternNode.Place place: return Add(new(place.Kind == PlaceKind.TextStart ? StepKind.TextStart : StepKind.TextEnd, next, -1, -1, place.Negative));
            case PatternNode.Ahead ahead: return Add(new(StepKind.Ahead, next, Compile(ahead.Body, Add(new(StepKind.Match, -1, -1, -1, false))), -1, ahead.Negative));
            case PatternNode.Sequence sequence: return sequence.Parts.Reverse().Aggregate(next, (after, part) => Compile(part, after));
            case PatternNode.Choice choice: return choice.Ways.Reverse().Select(way => Compile(way, next)).Aggregate((after, way) => Add(new(StepKind.Either, way, after, -1, false)));
            case PatternNode.Repeat repeat: return Compile(repeat, next);
            case PatternNode.Atomic atomic: return Compile(Single(atomic.Body), next);
            default: throw new ArgumentException($"There is no such node: {node}.", nameof(node));
        }
    }

    private int Compile(PatternNode.Repeat repeat, int next)
    {
        var after = next;
        if (repeat.Most == PatternNode.Unlimited)
        {
            // The body leads back to the choice, which is made first.
            after = Add(default);
            var body = Compile(repeat.Body, after);
            steps[after] = Either(body, next, repeat.IsLazy);
        }
        else
        {
            for (var i = repeat.Least; i < repeat.Most; i++)
            {
                var body = Compile(repeat.Body, after);
                after = Add(Either(body, next, repeat.IsLazy));
            }
        }

        for (var i = 0; i < repeat.Least; i++)
        {
            // What takes nothing adds nothing when it is repeated, and no steps that would be counted.
            var before = Compile(repeat.Body, after);
            if (before == after) { break; }

            after = before;
        }

        return after;
    }

    private static Step Either(int body, int next, bool isLazy) => isLazy ? new(StepKind.Either, next, body, -1, false) : new(StepKind.Either, body, next, -1, false);

    /// <summary>What matches as the node does in the first way, and in no other.</summary>
    private static PatternNode Single(PatternNode node)
    {
        switch (node)
        {
            case PatternNode.One or PatternNode.Ahead or PatternNode.Behind or PatternNode.Place: return node;
            case PatternNode.Atomic atomic: return Single(atomic.Body);
            case PatternNode.Sequence { Parts: [] }: return node;
            case PatternNode.Sequence sequence when sequence.Parts.SkipLast(1).All(HasOneWay): return new PatternNode.Sequence([.. sequence.Parts.SkipLast(1), Single(sequence.Parts[^1])]);
            case PatternNode.Choice choice:
                // A later way is taken only where none before it matches.
                var ways = new List<PatternNode>();
                var none = new List<PatternNode>();
                foreach (var way in choice.Ways)
                {
                    ways.Add(new PatternNode.Sequence([.. none, Single(way)]));
                    none.Add(new PatternNode.Ahead(way, Negative: true));
                }

                return new PatternNode.Choice(ways);
            case PatternNode.Repeat { IsLazy: true } lazy when HasOneWay(lazy.Body): return new PatternNode.Repeat(lazy.Body, lazy.Least, lazy.Least, IsLazy: false);
            case PatternNode.Repeat repeat when HasOneWay(repeat.Body) && !repeat.Body.IsNullable: return AsOftenAsPossible(repeat);
            default: throw new NotSupportedException("has an atomic group or possessive quantifier of what can match in several ways, which is not supported");
        }
    }

    /// <summary>Ends only where the body matches no more, or has been taken as often as it may.</summary>
    private static PatternNode.Sequence AsOftenAsPossible(PatternNode.Repeat repeat)
    {
        var end = new PatternNode.Ahead(repeat.Body, Negative: true);
        if (repeat.Most == PatternNode.Unlimited) { return new PatternNode.Sequence([repeat, end]); }

        if (repeat.Most - repeat.Least > MostAtomicTimes) { throw new NotSupportedException($"repeats what is atomic more than {MostAtomicTimes} times, which is not supported"); }

        PatternNode rest = new PatternNode.Sequence([]);
        for (var i = repeat.Least; i < repeat.Most; i++) { rest = new PatternNode.Choice([new PatternNode.Sequence([repeat.Body, rest]), end]); }

        return new PatternNode.Sequence([new PatternNode.Repeat(repeat.Body, repeat.Least, repeat.Least, IsLazy: false), rest]);
    }

    private static bool HasOneWay(PatternNode node) => node switch
    {
        PatternNode.One or PatternNode.Ahead or PatternNode.Behind or PatternNode.Place => true,
        PatternNode.Sequence sequence => sequence.Parts.All(HasOneWay),
        PatternNode.Repeat repeat => repeat.Least == repeat.Most && HasOneWay(repeat.Body),
        _ => false,
    };

    private int[] Ordered()
    {
        var order = new List<int>(steps.Count);
        var isDone = new bool[steps.Count];
        var waiting = new Stack<(int Step, bool IsLeft)>();
        for (var root = 0; root < steps.Count; root++)
        {
            waiting.Push((root, false));
            while (waiting.TryPop(out var next))
            {
                if (next.IsLeft) { order.Add(next.Step); }
                else if (!isDone[next.Step])
                {
                    isDone[next.Step] = true;
                    waiting.Push((next.Step, true));
                    var step = steps[next.Step];
                    if (step.Kind is StepKind.Match or StepKind.Take) { continue; }

                    waiting.Push((step.Next, false));
                    if (step.Other >= 0) { waiting.Push((step.Other, false)); }
                }
            }
        }

        return [.. order];
    }

    private SearchValues<byte>? FindFirstBytes()
    {
        var first = new HashSet<byte>();
        var seen = new HashSet<int>();
        var waiting = new Stack<int>([Start]);
        Span<byte> room = stackalloc byte[Utf8Text.LongestCharacter];
        while (waiting.TryPop(out var number))
        {
            var step = steps[number];
            if (step.Kind == StepKind.Match) { return null; }

            if (!seen.Add(number)) { continue; }

            if (step.Kind == StepKind.Either) { waiting.Push(step.Other); }

            if (step.Kind != StepKind.Take)
            {
                waiting.Push(step.Next);
                continue;
            }

            // The first bytes of a range of characters are a range, but for those that only continue one; no character of a text is a surrogate.
            foreach (var range in sets[step.Set].Ranges)
            {
                new Rune(range.First is >= 0xD800 and <= 0xDFFF ? 0xE000 : range.First).EncodeToUtf8(room);
                int from = room[0];
                new Rune(range.Last is >= 0xD800 and <= 0xDFFF ? 0xD7FF : range.Last).EncodeToUtf8(room);
                for (; from <= room[0]; from++)
                {
                    if ((from & 0xC0) != 0x80) { first.Add((byte)from); }
                }
            }
        }

        return SearchValues.Create([.. first]);
    }

    private (CharacterMap<byte> Classes, bool[][] IsInClass) Classify()
    {
        // At each place where some set begins or ends, whether it holds what follows.
        var borders = new SortedDictionary<uint, List<int>> { [0] = [] };
        for (var number = 0; number < sets.Count; number++)
        {
            foreach (var range in sets[number].Ranges)
            {
                At(range.First).Add(number);
                At(range.Last + 1).Add(number);
            }
        }

        var changes = new List<(uint From, byte Class)>(borders.Count);
        var known = new Dictionary<BigInteger, byte>();
        var members = new List<BigInteger>();
        var isIn = BigInteger.Zero;
        foreach (var (place, numbers) in borders)
        {
            foreach (var number in numbers) { isIn ^= BigInteger.One << number; }

            if (!known.TryGetValue(isIn, out var made))
            {
                if (members.Count == MaximalClasses) { throw new NotSupportedException($"tells more than {MaximalClasses} classes of characters apart, which is not supported"); }

                members.Add(isIn);
                made = (byte)members.Count;
                known.Add(isIn, made);
            }

            changes.Add((place, made));
        }

        return (new(changes), [.. Enumerable.Range(0, sets.Count).Select(number => (bool[])[false, .. members.Select(member => !(member >> number).IsEven)])]);

        List<int> At(uint place)
        {
            if (!borders.TryGetValue(place, out var changes)) { borders.Add(place, changes = []); }

            return changes;
        }
    }
}
