using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tokenisation;

namespace Platform.Kernels;

/// <summary>A tokeniser on a device: what its kernels do by themselves, and what is left of that from pinned memory and from any.</summary>
internal static class DeviceTokenisePart
{
    private const int TextBytes = 1024;

    /// <summary>Batches of a round, so that what is done beside one another counts.</summary>
    private const int Batches = 6;

    /// <summary>
    /// Texts of made-up words, of which half are no tokens as a whole; the tokeniser's file and the texts are left for the peers. Where the directory has corpus.texts and bert.json, as
    /// bench/parity/speed.mjs writes them, or for byte-level BPE byte-level.json, some of those documents in their place.
    /// </summary>
    public static void Run(Accelerator accelerator, string directory, Figures figures, string name, string key, byte[] json)
    {
        var real = DevicesPart.IsCard(accelerator);
        var most = real ? 48 << 20 : 1 << 18;
        var (corpus, file) = (Path.Combine(directory, "corpus.texts"), Path.Combine(directory, key == "tokenise" ? "bert.json" : "byte-level.json"));
        var isGiven = File.Exists(corpus) && File.Exists(file);
        if (isGiven) { json = File.ReadAllBytes(file); }

        var tokeniser = Tokeniser.Load(json);
        using var device = DeviceChecks.OnDevice(accelerator, json);
        var texts = isGiven ? Documents(corpus, most) : DeviceChecks.Texts(most, TextBytes);
        var bytes = texts.Sum(text => (double)text.Length);
        File.WriteAllBytes(Path.Combine(directory, $"{key}.json"), json);
        File.WriteAllLines(Path.Combine(directory, "texts.txt"), texts.Take(16_384).Select(text => Encoding.UTF8.GetString(text.Span)));
        void Add(string what, string of, double seconds) => figures.Add(of.Length == 0 ? key : $"{key}/{of}", $"{name}, texts of {(isGiven ? "corpus.texts" : "1 KB")}, {what}", bytes / seconds / 1e9, "GB/s");

        using var batch = new TextBatch(device.Stream, (int)bytes + texts.Count, texts.Count);
        device.Lay(texts, batch);
        int count;
        using (var tokens = device.Run(batch)) { count = tokens.Count; }

        Add("kernels alone", "kernels", Figures.Best(device.Stream, 5, () => device.Run(batch, isThere: true).Dispose()));
        Add("pinned memory to ids on the device, one batch by itself", "one", Figures.Clock(null, 5, () =>
        {
            using var tokens = device.Run(batch);
            _ = tokens.Count;
        }));
        Add($"pinned memory to ids on the device, {Batches} batches", "pinned", Figures.Clock(null, 3, () => InTurn(device, batch, tokens => _ = tokens.Count)) / Batches);
        using var ids = new PinnedBuffer(device.Stream, 4 * count);
        using var offsets = new PinnedBuffer(device.Stream, 4 * (texts.Count + 1));
        Add($"pinned memory to ids in pinned memory, {Batches} batches", "both", Figures.Clock(null, 3, () => InTurn(device, batch, tokens => tokens.Download(ids, offsets))) / Batches);
        Add("host memory to ids in host memory", "", Figures.Clock(null, 3, () =>
        {
            using var tokens = device.Run(texts);
            _ = tokens.Download();
        }));
        var packed = new PackedTokens();
        Add($"by the tokeniser on the CPU, {Environment.ProcessorCount} threads", "cpu", Figures.Clock(null, 2, () => tokeniser.Pack(texts, packed)));
    }

    /// <summary>Documents from all of the corpus, of about so many bytes.</summary>
    private static List<ReadOnlyMemory<byte>> Documents(string corpus, int most)
    {
        var all = TokenisePart.ReadTexts(corpus);
        var every = (int)Math.Max(1, all.Sum(text => (long)text.Length) / most);
        return [.. all.Where((_, number) => number % every == 0)];
    }

    /// <summary>Batches of which each begins before the ids of the one before it are taken.</summary>
    private static void InTurn(DeviceTokeniser device, TextBatch batch, Action<DeviceTokens> take)
    {
        DeviceTokens? last = null;
        try
        {
            for (var i = 0; i < Batches; i++)
            {
                var next = device.Run(batch);
                if (last is not null)
                {
                    take(last);
                    last.Dispose();
                }

                last = next;
            }

            take(last!);
        }
        finally
        {
            last?.Dispose();
        }
    }
}
