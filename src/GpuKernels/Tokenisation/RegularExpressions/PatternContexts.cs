namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>
/// What a pattern's looks behind tell apart of what stands before a place: the class of the last character and how far it and those before it have come in each look. Where
/// all look at one character, a context is a class.
/// </summary>
internal sealed class PatternContexts
{
    public const byte TextStart = 0;

    /// <summary>They fit a byte.</summary>
    private const int MaximalCount = 256;

    private readonly List<byte[]> after = [];
    private readonly List<byte> classes = [];
    private readonly List<bool[]> holds = [];

    private PatternContexts(bool areClasses) => AreClasses = areClasses;

    /// <summary>Whether the context of a place is the class of the character before it.</summary>
    public bool AreClasses { get; }

    public int Count => classes.Count;

    /// <param name="behinds">Of each look: the numbers of the sets, the first of which is the farthest.</param>
    /// <param name="isInClass">By set and class.</param>
    public static PatternContexts Of(IReadOnlyList<int[]> behinds, bool[][] isInClass, int classCount)
    {
        var made = new PatternContexts(behinds.All(sets => sets.Length == 1));
        var known = new Dictionary<string, byte>(StringComparer.Ordinal);
        var waiting = new Queue<(int Class, bool[][] Come)>();
        made.Add(known, waiting, 0, [.. behinds.Select(sets => new bool[sets.Length])]);

        // In the order of their numbers: of contexts that are classes each has its class's.
        for (var number = 0; waiting.TryDequeue(out var context); number++)
        {
            for (var next = 1; next < classCount; next++)
            {
                bool[][] come = [.. behinds.Select((sets, i) => sets.Select((set, j) => isInClass[set][next] && (j == 0 || context.Come[i][j - 1])).ToArray())];
                made.after[number][next] = made.Add(known, waiting, next, come);
            }
        }

        return made;
    }

    /// <summary>The context behind a character.</summary>
    public byte After(byte context, byte characterClass) => after[context][characterClass];

    public byte ClassOf(byte context) => classes[context];

    public bool Holds(int behind, byte context) => holds[context][behind];

    private byte Add(Dictionary<string, byte> known, Queue<(int Class, bool[][] Come)> waiting, int characterClass, bool[][] come)
    {
        var name = $"{characterClass} {string.Concat(come.SelectMany(each => each).Select(has => has ? '1' : '0'))}";
        if (known.TryGetValue(name, out var number)) { return number; }

        if (classes.Count == MaximalCount) { throw new NotSupportedException($"looks behind at more than {MaximalCount} different things, which is not supported"); }

        number = (byte)classes.Count;
        known.Add(name, number);
        waiting.Enqueue((characterClass, come));
        classes.Add((byte)characterClass);
        after.Add(new byte[256]);
        holds.Add([.. come.Select(each => each[^1])]);
        return number;
    }
}
