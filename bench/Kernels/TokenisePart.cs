using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.Kernels;

/// <summary>
/// The tokenisers on one core, in seconds of processor time, by turns with npm's tiktoken and tokenizers (bench/parity/speed.mjs; needs node, and `npm install` in bench/parity):
/// machines that are shared change their speed from one second to the next, and both are to meet the same.
/// </summary>
internal static class TokenisePart
{
    private const int Turns = 5;
    private const double SecondsOfTurn = 0.1;

    public static void MeasureWordPiece(TextWriter output) => Measure(output, "tokenise");

    public static void MeasureBpe(TextWriter output) => Measure(output, "bpe");

    public static void MeasureUnigram(TextWriter output) => Measure(output, "unigram");

    /// <summary>The tokenizer.json files that bench/parity/run-published has taken from npm and NuGet, on some corpora each.</summary>
    public static void MeasurePublished(TextWriter output)
    {
        var folder = Path.GetFullPath(Path.Combine("bench", "parity", "published", "obj", "files"));
        if (!Directory.Exists(folder)) { throw new InvalidOperationException("There are no published files yet: bench/parity/run-published takes them from npm and NuGet."); }

        foreach (var file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal)) { Measure(output, file); }
    }

    /// <summary>Documents as speed.mjs writes them, each after its length.</summary>
    public static List<ReadOnlyMemory<byte>> ReadTexts(string path)
    {
        var texts = new List<ReadOnlyMemory<byte>>();
        ReadOnlyMemory<byte> rest = File.ReadAllBytes(path);
        while (rest.Length > 0)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest.Span);
            texts.Add(rest.Slice(sizeof(int), length));
            rest = rest[(sizeof(int) + length)..];
        }

        return texts;
    }

    /// <param name="part">One of speed.mjs, or the path of a tokenizer.json.</param>
    public static void Measure(TextWriter output, string part)
    {
        var folder = Directory.CreateTempSubdirectory("tokenise-").FullName;
        try
        {
            using var peer = new Peer(folder, part);
            foreach (var reference in peer.Comparisons.GroupBy(one => one.Reference)) { Compare(output, folder, peer, [.. reference]); }
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    private static void Compare(TextWriter output, string folder, Peer peer, List<Comparison> comparisons)
    {
        var reference = comparisons[0].Reference;
        var encode = Encoder(folder, reference);
        output.WriteLine($"{reference}: MB/s of one core; the reference is npm's {(IsTiktoken(reference) ? "tiktoken" : "tokenizers")}");

        // What the just-in-time compiler does for the first second is not what is measured.
        var first = ReadTexts(Path.Combine(folder, $"{comparisons[^1].Corpus}.texts"));
        Best(() => encode(first), 1);

        var ratios = new List<(double Ratio, string Corpus)>();
        foreach (var comparison in comparisons)
        {
            var texts = ReadTexts(Path.Combine(folder, $"{comparison.Corpus}.texts"));
            var (own, others, wanted) = ((Seconds: double.PositiveInfinity, Tokens: 0), double.PositiveInfinity, 0);
            for (var turn = 0; turn < Turns; turn++)
            {
                var (seconds, tokens) = peer.Encode(comparison, SecondsOfTurn);
                (others, wanted) = (Math.Min(others, seconds), tokens);
                var best = Best(() => encode(texts), SecondsOfTurn);
                own = (Math.Min(own.Seconds, best.Seconds), best.Tokens);
            }

            ratios.Add((others / own.Seconds, comparison.Corpus));
            var same = own.Tokens == wanted ? "" : $", BUT {own.Tokens} tokens and not {wanted}";
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"  {comparison.Corpus,-20}{comparison.Bytes / others / 1e6,9:F2}{comparison.Bytes / own.Seconds / 1e6,9:F1}  {others / own.Seconds,7:F1} times{same}"));
        }

        ratios.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  worst {ratios[0].Corpus} {ratios[0].Ratio:F1} times, median {ratios[ratios.Count / 2].Ratio:F1}"));
    }

    private static bool IsTiktoken(string reference) => reference.EndsWith("_base", StringComparison.Ordinal);

    /// <summary>Encodes all texts, and says how many tokens they are.</summary>
    private static Func<List<ReadOnlyMemory<byte>>, int> Encoder(string folder, string reference)
    {
        if (IsTiktoken(reference))
        {
            var encoding = TiktokenEncoding.Load(reference, File.ReadAllBytes(Path.Combine(folder, $"{reference}.tiktoken")));
            return texts => texts.Sum(text => encoding.Encode(text.Span).Length);
        }

        var tokeniser = Tokeniser.Load(Path.Combine(folder, $"{reference}.json"));
        var packed = new PackedTokens();
        return texts =>
        {
            tokeniser.Pack(texts, packed, threads: 1);
            return packed.Ids.Length;
        };
    }

    /// <summary>The best of as many runs as take so long; short ones are measured several at once.</summary>
    private static (double Seconds, int Tokens) Best(Func<int> run, double least)
    {
        var (best, tokens) = (double.PositiveInfinity, 0);
        for (var spent = 0.0; spent < least;)
        {
            var (start, runs, used) = (Environment.CpuUsage.TotalTime, 0, 0.0);
            for (; used < least / 10; runs++)
            {
                tokens = run();
                used = (Environment.CpuUsage.TotalTime - start).TotalSeconds;
            }

            best = Math.Min(best, used / runs);
            spent += used;
        }

        return (best, tokens);
    }

    private sealed record Comparison(string Reference, string Corpus, long Bytes);

    /// <summary>The process of the reference, which encodes when it is asked to.</summary>
    private sealed class Peer : IDisposable
    {
        private const string Needs = "bench/parity/speed.mjs failed; it needs node, and `npm install` in bench/parity.";
        private readonly Process node;

        public Peer(string folder, string part)
        {
            var script = Path.GetFullPath(Path.Combine("bench", "parity", "speed.mjs"));
            node = Process.Start(new ProcessStartInfo("node", [script, folder, part]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
            while (Line() is { Length: > 0 } line)
            {
                var fields = line.Split('\t');
                Comparisons.Add(new Comparison(fields[0], fields[1], long.Parse(fields[2], CultureInfo.InvariantCulture)));
            }
        }

        public List<Comparison> Comparisons { get; } = [];

        public (double Seconds, int Tokens) Encode(Comparison comparison, double least)
        {
            node.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{comparison.Reference}\t{comparison.Corpus}\t{least}"));
            var fields = Line().Split('\t');
            return (double.Parse(fields[0], CultureInfo.InvariantCulture), int.Parse(fields[1], CultureInfo.InvariantCulture));
        }

        public void Dispose()
        {
            node.StandardInput.Close();
            node.WaitForExit();
            node.Dispose();
        }

        private string Line() => node.StandardOutput.ReadLine() ?? throw new InvalidOperationException(Needs);
    }
}
