namespace Platform.GpuKernels.Tokenisation;

/// <summary>A part of a template: the first text (0), the second (1), or special tokens (-1).</summary>
internal readonly record struct TemplatePart(int Sequence, int[] Ids, int TypeId);

/// <summary>
/// What is put around texts. Every post-processor is a template for one text and one for two, and whether offsets are trimmed of white space:
/// BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel, and a Sequence of those with at most one template.
/// </summary>
internal sealed record PostProcessor(TemplatePart[] Single, TemplatePart[] Pair, bool TrimsOffsets, bool KeepsFirstSpace)
{
    private const int MaximalParts = 1000;

    private static readonly TemplatePart First = new(0, [], 0);
    private static readonly TemplatePart Second = new(1, [], 1);

    public static PostProcessor None { get; } = new([First], [First, Second], TrimsOffsets: false, KeepsFirstSpace: false);

    /// <summary>How many special tokens a text, or a pair, gets.</summary>
    public int SpecialTokens(bool pair) => (pair ? Pair : Single).Sum(part => part.Ids.Length);

    public static PostProcessor Read(StageOptions options) => options.IsNull ? None : options.Type switch
    {
        "BertProcessing" => Bert(options),
        "RobertaProcessing" => Roberta(options),
        "TemplateProcessing" => Template(options),
        "ByteLevel" => ByteLevel(options),
        "Sequence" => options.Items("processors").Select(Read).Aggregate(None, (one, other) => Join(one, other, options)),
        _ => throw options.Unsupported(["BertProcessing", "RobertaProcessing", "TemplateProcessing", "ByteLevel", "Sequence"]),
    };

    private static PostProcessor Join(PostProcessor one, PostProcessor other, StageOptions options)
    {
        var templates = new[] { one, other }.Where(each => each.Single != None.Single).ToList();
        var template = templates.Count < 2 ? templates.FirstOrDefault(None) : throw StageOptions.Wrong(options.Place, "has more than one template, which is not supported");
        return template with { TrimsOffsets = one.TrimsOffsets || other.TrimsOffsets, KeepsFirstSpace = other.TrimsOffsets ? other.KeepsFirstSpace : one.KeepsFirstSpace };
    }

    private static PostProcessor Bert(StageOptions options)
    {
        options.Knows("sep", "cls");
        var (cls, sep) = (Special(options, "cls"), Special(options, "sep"));
        return None with { Single = [cls, First, sep], Pair = [cls, First, sep, Second, sep with { TypeId = 1 }] };
    }

    private static PostProcessor Roberta(StageOptions options)
    {
        options.Knows("sep", "cls", "trim_offsets", "add_prefix_space");
        var (cls, sep) = (Special(options, "cls"), Special(options, "sep"));
        return new(
            [cls, First, sep],
            [cls, First, sep, sep, Second with { TypeId = 0 }, sep],
            options.Flag("trim_offsets", true),
            options.Flag("add_prefix_space", true));
    }

    private static PostProcessor ByteLevel(StageOptions options)
    {
        options.Knows("add_prefix_space", "trim_offsets", "use_regex");
        return None with { TrimsOffsets = options.Flag("trim_offsets", true), KeepsFirstSpace = options.Flag("add_prefix_space", true) };
    }

    private static TemplatePart Special(StageOptions options, string name)
    {
        var parts = options.Items(name).ToList();
        return parts.Count == 2 ? new(-1, [parts[1].AsNumber()], 0) : throw StageOptions.Wrong($"{options.Place}.{name}", "must be a token and its id");
    }

    private static PostProcessor Template(StageOptions options)
    {
        // Those of ByteLevel were left behind in Command R+'s file; the reference does not look at them there.
        options.Knows("single", "pair", "special_tokens", "add_prefix_space", "trim_offsets", "use_regex");
        var special = options.Member("special_tokens");
        var pair = Parts(options, "pair", special);
        return pair.Any(part => part.Sequence == 0) && pair.Any(part => part.Sequence == 1)
            ? new(Parts(options, "single", special), pair, TrimsOffsets: false, KeepsFirstSpace: false)
            : throw StageOptions.Wrong($"{options.Place}.pair", "must use both texts");
    }

    private static TemplatePart[] Parts(StageOptions options, string name, StageOptions special)
    {
        var parts = options.Items(name).Select(item => Part(item, special)).ToArray();
        return parts.Length <= MaximalParts ? parts : throw StageOptions.Wrong($"{options.Place}.{name}", $"has {parts.Length} parts; the limit is {MaximalParts}");
    }

    private static TemplatePart Part(StageOptions item, StageOptions special)
    {
        var sequence = item.Member("Sequence");
        if (!sequence.IsNull)
        {
            var which = sequence.Text("id") switch { "A" => 0, "B" => 1, var other => throw StageOptions.Wrong(sequence.Place, $"'{other}' is neither A nor B") };
            return new(which, [], sequence.Number("type_id"));
        }

        var token = item.Member("SpecialToken");
        return token.IsNull ? throw StageOptions.Wrong(item.Place, "must be a Sequence or a SpecialToken") : new(-1, Ids(special, token.Text("id"), item.Place), token.Number("type_id"));
    }

    private static int[] Ids(StageOptions special, string name, string place)
    {
        var token = special.Member(name);
        return token.IsNull ? throw StageOptions.Wrong(place, $"names '{name}', which is not among its special_tokens") : [.. token.Items("ids").Select(id => id.AsNumber())];
    }
}
