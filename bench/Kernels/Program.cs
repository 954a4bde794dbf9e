// Measures the kernels: `bench/run-kernels [PART...]`. Each part is one file here; without a name all are run but the one of a million chunks, which
// takes minutes and 5 GB, and published tokenisers, which take minutes and are to be had first (bench/parity/run-published); a tokenizer.json is a part too. `parity` is for the scripts of bench/parity, `embed` for bench/embedding, `devices` for bench/gpu.sh.
using Platform.Kernels;

if (args is ["parity", .. var subject]) { return Parity.Run(subject); }
if (args is ["embed", var directory]) { return EmbedPart.Run(directory); }
if (args is ["devices", .. var task]) { return DevicesPart.Run(task); }

const string Large = "search-million", Published = "published";
var parts = new Dictionary<string, Action<TextWriter>>(StringComparer.Ordinal)
{
    ["search"] = SearchPart.Measure,
    [Large] = SearchMillionPart.Measure,
    ["encode"] = EncodePart.Measure,
    ["batch"] = BatchPart.Measure,
    ["static"] = StaticPart.Measure,
    ["lexical"] = LexicalPart.Measure,
    ["bpe"] = TokenisePart.MeasureBpe,
    ["unigram"] = TokenisePart.MeasureUnigram,
    [Published] = TokenisePart.MeasurePublished,
    ["tokenise"] = TokenisePart.MeasureWordPiece,
};

var wanted = args.Length == 0 ? [.. parts.Keys.Where(name => name is not (Large or Published))] : args;
foreach (var name in wanted)
{
    if (File.Exists(name))
    {
        TokenisePart.Measure(Console.Out, Path.GetFullPath(name));
        continue;
    }

    if (!parts.TryGetValue(name, out var measure))
    {
        Console.Error.WriteLine($"There is no part '{name}'. Parts: {string.Join(", ", parts.Keys)}.");
        return 2;
    }

    measure(Console.Out);
}

return 0;
