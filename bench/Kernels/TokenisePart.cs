using System.Diagnostics;
using System.Globalization;
using Platform.GpuKernels.Tokenisation;

namespace Platform.Kernels;

/// <summary>WordPiece on one core, beside npm's tokenizers in the same run where it is installed (`npm install` in bench/parity).</summary>
internal static class TokenisePart
{
    private const double Seconds = 2;

    public static void Measure(TextWriter output)
    {
        var script = FindScript();
        if (script is null)
        {
            output.WriteLine("tokenise: not measured, since npm's tokenizers, which makes the texts and is the peer, is not installed: run `npm install` in bench/parity");
            return;
        }

        var folder = Directory.CreateTempSubdirectory("tokenise-");
        try
        {
            Measure(script, folder.FullName, output);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void Measure(string script, string folder, TextWriter output)
    {
        using var node = Process.Start(new ProcessStartInfo("node", [script, folder]) { RedirectStandardOutput = true })!;
        var lines = node.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        node.WaitForExit();
        if (node.ExitCode != 0) { throw new InvalidOperationException($"node ended with {node.ExitCode}."); }

        var tokeniser = Tokeniser.Load(Path.Combine(folder, "tokenizer.json"));
        foreach (var line in lines)
        {
            var fields = line.Split(' ');
            var (kind, bytes, seconds, tokens) = (fields[0], long.Parse(fields[1], CultureInfo.InvariantCulture), double.Parse(fields[2], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture));
            var texts = Documents(File.ReadAllBytes(Path.Combine(folder, $"{kind}.txt")));
            var packed = new PackedTokens();
            var best = Best(() => tokeniser.Pack(texts, packed, threads: 1));
            var same = packed.Ids.Length == tokens ? "" : $", BUT {packed.Ids.Length} tokens and not {tokens}";
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"tokenise {kind}: {bytes / best / 1e6:0.0} MB/s, {tokens / best / 1e6:0.0} million tokens/s; tokenizers {bytes / seconds / 1e6:0.00} MB/s: {seconds / best:0.0} times{same}"));
        }
    }

    private static double Best(Action action)
    {
        var best = double.MaxValue;
        for (var all = Stopwatch.StartNew(); all.Elapsed.TotalSeconds < Seconds;)
        {
            var one = Stopwatch.StartNew();
            action();
            best = Math.Min(best, one.Elapsed.TotalSeconds);
        }

        return best;
    }

    private static List<ReadOnlyMemory<byte>> Documents(ReadOnlyMemory<byte> all)
    {
        var documents = new List<ReadOnlyMemory<byte>>();
        while (!all.IsEmpty)
        {
            var end = all.Span.IndexOf((byte)0);
            documents.Add(all[..end]);
            all = all[(end + 1)..];
        }

        return documents;
    }

    private static string? FindScript()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var parity = Path.Combine(folder.FullName, "bench", "parity");
            if (Directory.Exists(Path.Combine(parity, "node_modules", "tokenizers"))) { return Path.Combine(parity, "speed.mjs"); }
        }

        return null;
    }
}
