using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cuda;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.Kernels;

/// <summary>
/// What a device does, for bench/gpu.sh: <c>devices model DIR</c> writes a model of MiniLM-L6's shape, <c>devices check [ROUNDS]</c> compares every
/// kernel with its reference, and the tokenisers with those of the CPU on so many rounds of hostile texts (1; 200 are a fuzz of minutes),
/// <c>devices start DIR</c> makes one embedding in a fresh process, <c>devices measure DIR FILE [PART]</c> measures all, or one of <see cref="Parts"/>,
/// and writes its figures to FILE as well. It takes the card if there is one, else an OpenCL device, whose figures say nothing about a card.
/// </summary>
internal static class DevicesPart
{
    private const int Width = 384;
    private const int Middle = 1536;
    private const int SentenceTokens = 128;

    private static readonly string[] Parts = ["transfers", "layers", "encoder", "static", "search", "tokenise", "bpe"];

    public static int Run(string[] arguments)
    {
        var survey = DeviceSurvey.Take();
        var device = survey.Chosen.Kind == DeviceKind.Cpu ? survey.Devices[0] : survey.Chosen;
        switch (arguments)
        {
            case ["model", var directory]:
                Directory.CreateDirectory(directory);
                EncodePart.Write(directory);
                return 0;
            case ["check", .. var some] when some is [] || (some is [var count] && int.TryParse(count, CultureInfo.InvariantCulture, out _)):
                Console.WriteLine(survey.Sentence());
                using (var accelerator = DeviceSurvey.Open(device)) { return DeviceChecks.Run(accelerator, Console.Out, some is [] ? 1 : int.Parse(some[0], CultureInfo.InvariantCulture)) ? 0 : 1; }
            case ["start", var directory, var file]:
                Start(device, directory, new Figures(file));
                return 0;
            case ["measure", var directory, var file, .. var part] when part is [] || (part is [var one] && Parts.Contains(one)):
                using (var accelerator = DeviceSurvey.Open(device)) { Measure(accelerator, directory, new Figures(file), part is [] ? Parts : part); }
                return 0;
            default:
                Console.Error.WriteLine($"devices model DIR | check [ROUNDS] | start DIR FILE | measure DIR FILE [{string.Join('|', Parts)}]");
                return 2;
        }
    }

    /// <summary>From the process's start to one vector.</summary>
    private static void Start(DeviceInfo device, string directory, Figures figures)
    {
        using var accelerator = DeviceSurvey.Open(device);
        var opened = Since();
        using var file = Safetensors.Open(directory, "model.safetensors");
        using var encoder = new DeviceEncoder(accelerator, EncoderConfig.Read(ModelJson.ReadObject(directory, EncoderConfig.FileName)!.Value), file);
        var loaded = Since();
        var vector = new float[Width];
        encoder.Encode([101, 7592, 2088, 102], [0, 4], RowPooling.Mean, normalise: true, vector);
        var built = accelerator is CudaAccelerator cuda ? $", {cuda.Modules.Compiled} modules compiled, {cuda.Modules.Cached} from the cache" : "";
        figures.Add(
            $"start/{(accelerator is CudaAccelerator { Modules.Compiled: 0 } ? "cached" : "first")}",
            $"first embedding after start (open {opened:0.00}, load {loaded - opened:0.00}{built})",
            Since(),
            "s");

        static double Since() => (DateTime.UtcNow - Process.GetCurrentProcess().StartTime.ToUniversalTime()).TotalSeconds;
    }

    private static void Measure(Accelerator accelerator, string directory, Figures figures, IReadOnlyList<string> parts)
    {
        // On a device without tensor cores every figure only shows that the measurement runs.
        var real = IsCard(accelerator);
        figures.Add("device", $"{accelerator.Info.Id}, {accelerator.Info.Name}{(real ? "" : ": NO CARD, its figures say nothing of one")}", accelerator.Info.ComputeUnits, "compute units");
        using var stream = accelerator.CreateStream();
        var copied = real ? 256 << 20 : 8 << 20;
        double memory = 0, peak = 0;

        // What others are a part of is measured with each of them.
        if (parts.Any(part => part is "transfers" or "static" or "search")) { memory = Within(stream, figures, copied); }
        if (parts.Any(part => part is "layers" or "encoder")) { peak = LinearLayer(stream, figures, real, "peak", "a square of 8192 (what else is a part of)", real ? 8192 : 256, real ? 8192 : 256, real ? 8192 : 256, Epilogue.Plain, null); }
        foreach (var part in parts)
        {
            switch (part)
            {
                case "transfers":
                    Transfers(stream, figures, copied);
                    break;
                case "layers":
                    LinearLayers(stream, figures, real, peak);
                    AttentionOf(stream, figures, real ? 64 : 1);
                    Warpgroups(stream, figures, real);
                    break;
                case "encoder":
                    Encoder(accelerator, directory, figures, real ? 16_384 : 2, real ? 5 : 1, peak);
                    break;
                case "static":
                    Static(stream, figures, real ? 1 << 20 : 1 << 12, memory);
                    break;
                case "search":
                    Search(stream, figures, real ? 10_000_000 : 20_000, memory);
                    break;
                case "tokenise":
                    DeviceTokenisePart.Run(accelerator, directory, figures, "WordPiece", part, DeviceChecks.WordPieceFile(30_000));
                    break;
                case "bpe":
                    DeviceTokenisePart.Run(accelerator, directory, figures, "byte-level BPE", part, DeviceChecks.BytePairFile(DeviceChecks.MostBytePairs, SplitPatterns.Supported.First(regex => SplitPatterns.TryRecognise(regex, out var pattern) && pattern == SplitPattern.Cl100k)));
                    break;
            }
        }
    }

    /// <summary>Whether figures say something of a card: not of what stands in for its driver in the tests.</summary>
    internal static bool IsCard(Accelerator accelerator) => accelerator.Info is { Kind: DeviceKind.Cuda, Name: not "stand-in" };

    private static void Transfers(AcceleratorStream stream, Figures figures, int bytes)
    {
        var host = new byte[bytes];
        new Random(1).NextBytes(host);
        using var a = stream.Accelerator.Allocate(bytes);
        using var pinned = new PinnedBuffer(stream, bytes);
        host.CopyTo(pinned.Span);
        figures.Add("copy/up", "host to device, from pinned memory", bytes / Figures.Best(stream, 5, () => pinned.Upload(stream, 0, a, 0, bytes)) / 1e9, "GB/s");
        figures.Add("copy/down", "device to host, to pinned memory", bytes / Figures.Best(stream, 5, () => pinned.Download(stream, a, 0, 0, bytes)) / 1e9, "GB/s");
        figures.Add("copy/ring", "host to device, from any memory by the pinned ring", bytes / Figures.Clock(stream, 5, () => stream.Upload<byte>(host, a)) / 1e9, "GB/s");
        stream.Synchronize();
    }

    /// <summary>Bytes a second that a copy within the device reads and writes.</summary>
    private static double Within(AcceleratorStream stream, Figures figures, int bytes)
    {
        using var a = stream.Accelerator.Allocate(bytes);
        using var b = stream.Accelerator.Allocate(bytes);
        var within = 2.0 * bytes / Figures.Best(stream, 5, () => stream.Copy(a, 0, b, 0, bytes));
        figures.Add("copy/within", "within the device, read and written", within / 1e9, "GB/s");
        return within;
    }

    private static void LinearLayers(AcceleratorStream stream, Figures figures, bool real, double peak)
    {
        var tokens = real ? 8192 : 256;
        LinearLayer(stream, figures, real, "qkv", "queries, keys, values", tokens, 3 * Width, Width, Epilogue.Plain, peak);
        LinearLayer(stream, figures, real, "out", "attention's output and residual", tokens, Width, Width, Epilogue.Residual, peak);
        LinearLayer(stream, figures, real, "up", "feed-forward, GELU", tokens, Middle, Width, Epilogue.Gelu, peak);
        LinearLayer(stream, figures, real, "down", "feed-forward, residual", tokens, Width, Middle, Epilogue.Residual, peak);
    }

    /// <summary>Operations a second of our own linear layer; of a shape that fills a card, the most that it does.</summary>
    private static double LinearLayer(AcceleratorStream stream, Figures figures, bool real, string key, string what, int m, int n, int k, Epilogue epilogue, double? peak)
    {
        using var a = Random(stream, 2L * m * k, 2);
        using var w = Random(stream, 2L * n * k, 3);
        using var bias = stream.Accelerator.Allocate<float>(new float[n], stream);
        using var residual = Random(stream, 2L * m * n, 4);
        using var c = stream.Accelerator.Allocate(2L * m * n);
        var rate = 2.0 * m * n * k / Figures.Best(stream, real ? 20 : 1, () => Gemm.Launch(stream, epilogue, a, w, bias, residual, c, m, n, k));
        figures.Add($"gemm/{key}", $"linear layer {m} x {n} x {k}, {what}", rate / 1e12, "TFLOP/s", peak is { } most ? rate / most : null);
        return rate;
    }

    private static void AttentionOf(AcceleratorStream stream, Figures figures, int sequences)
    {
        var tokens = sequences * SentenceTokens;
        var tiles = Attention.Tiles([.. Enumerable.Range(0, sequences + 1).Select(i => i * SentenceTokens)], 32);
        using var qkv = Random(stream, 6L * tokens * Width, 5);
        using var to = stream.Accelerator.Allocate(2L * tokens * Width);
        using var list = stream.Accelerator.Allocate<int>(tiles, stream);
        var seconds = Figures.Best(stream, sequences > 1 ? 20 : 1, () => Attention.Launch(stream, qkv, to, list, tiles.Length / 3, tokens, Width / 32, 32));
        figures.Add("attention", $"attention, {sequences} sequences of {SentenceTokens}, 12 heads of 32", 4.0 * tokens * SentenceTokens * Width / seconds / 1e12, "TFLOP/s");
    }

    /// <summary>The layers for Hopper, with the weights of six layers in turn, so that they come from memory as in a model.</summary>
    private static void Warpgroups(AcceleratorStream stream, Figures figures, bool real)
    {
        if (real && !stream.Accelerator.HasWarpgroups) { return; }

        const int layers = 6;
        var rows = real ? stream.Accelerator.Info.ComputeUnits * Hopper.GroupRows : Hopper.GroupRows;
        var middle = real ? Middle : 2 * Hopper.Part;
        using var a = Random(stream, 2L * rows * Width, 11);
        using var residual = Random(stream, 2L * rows * Width, 12);
        using var to = stream.Accelerator.Allocate(2L * rows * 3 * Width);
        using var upBias = stream.Accelerator.Allocate<float>(new float[middle], stream);
        var one = new float[3 * Width];
        var random = new Random(13);
        ushort[] Weight(int count) => Bf16.From([.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 0.1f)]);
        var projections = new MemoryBuffer[layers];
        var rest = new MemoryBuffer[layers];
        for (var layer = 0; layer < layers; layer++)
        {
            projections[layer] = stream.Accelerator.Allocate<ushort>(Hopper.PackProjection(Weight(3 * Width * Width), one), stream);
            rest[layer] = stream.Accelerator.Allocate<ushort>(
                Hopper.PackAfterAttention(new AfterAttentionWeights
                {
                    Output = Weight(Width * Width),
                    OutputBias = one.AsSpan(0, Width),
                    OutputGain = one.AsSpan(0, Width),
                    OutputShift = one.AsSpan(0, Width),
                    Up = Weight(middle * Width),
                    Down = Weight(middle * Width),
                    DownBias = one.AsSpan(0, Width),
                    DownGain = one.AsSpan(0, Width),
                    DownShift = one.AsSpan(0, Width),
                }),
                stream);
        }

        void Add(string key, string what, double operations, Action<int> work)
        {
            var seconds = Figures.Best(stream, real ? 20 : 1, () =>
            {
                for (var layer = 0; layer < layers; layer++) { work(layer); }
            }) / layers;
            figures.Add(key, what, operations / seconds / 1e12, "TFLOP/s");
        }

        Add("hopper/qkv", $"for warpgroups: queries, keys, values of {rows} tokens", 6.0 * rows * Width * Width, layer => Hopper.Project(stream, a, projections[layer], to, rows, 3 * Width));
        Add("hopper/after", $"for warpgroups: what follows attention, of {rows} tokens", (2.0 * rows * Width * Width) + (4.0 * rows * Width * middle), layer =>
            Hopper.AfterAttention(stream, a, residual, rest[layer], upBias, to, rows, middle, 1e-12f));
        foreach (var buffer in (MemoryBuffer[])[.. projections, .. rest]) { buffer.Dispose(); }
    }

    private static void Encoder(Accelerator accelerator, string directory, Figures figures, int sentences, int rounds, double peak)
    {
        using var file = Safetensors.Open(directory, "model.safetensors");
        using var encoder = new DeviceEncoder(accelerator, EncoderConfig.Read(ModelJson.ReadObject(directory, EncoderConfig.FileName)!.Value), file);
        var random = new Random(6);
        var ids = new int[sentences * SentenceTokens];
        for (var i = 0; i < ids.Length; i++) { ids[i] = random.Next(1000, 30_000); }

        int[] starts = [.. Enumerable.Range(0, sentences + 1).Select(i => i * SentenceTokens)];
        var vectors = new float[sentences * Width];
        encoder.Encode(ids, starts, RowPooling.Mean, normalise: true, vectors);
        var seconds = double.PositiveInfinity;
        for (var round = 0; round < rounds; round++)
        {
            var started = Stopwatch.GetTimestamp();
            encoder.Encode(ids, starts, RowPooling.Mean, normalise: true, vectors);
            seconds = Math.Min(seconds, Stopwatch.GetElapsedTime(started).TotalSeconds);
        }

        // Linear layers and attention of 6 layers.
        var operations = 6.0 * ((2.0 * 12 * Width * Width * SentenceTokens) + (4.0 * SentenceTokens * SentenceTokens * Width));
        figures.Add("encoder", $"encoder, MiniLM-L6's shape, {SentenceTokens} tokens, ids from and vectors to the host", sentences / seconds, "sentences/s", operations * sentences / seconds / peak);

        // For the peers: the same ids, and what came out.
        var shown = Math.Min(sentences, 64);
        File.WriteAllBytes(Path.Combine(directory, "ids.i32"), MemoryMarshal.AsBytes(ids.AsSpan(0, shown * SentenceTokens)));
        File.WriteAllBytes(Path.Combine(directory, "vectors.f32"), MemoryMarshal.AsBytes(vectors.AsSpan(0, shown * Width)));
    }

    private static void Static(AcceleratorStream stream, Figures figures, int tokens, double memory)
    {
        const int vocabulary = 30_000, width = 256, length = 32;
        var random = new Random(7);
        int[] ids = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(vocabulary))];
        using var table = Random(stream, 2L * vocabulary * width, 8);
        using var list = stream.Accelerator.Allocate<int>(ids, stream);
        using var offsets = stream.Accelerator.Allocate<int>([.. Enumerable.Range(0, (tokens / length) + 1).Select(i => i * length)], stream);
        using var to = stream.Accelerator.Allocate(4L * tokens / length * width);
        var seconds = Figures.Best(stream, 5, () => Rows.GatherMean(stream, list, offsets, table, null, to, tokens / length, width, normalise: true));
        figures.Add("static", $"static embedding, {width} wide, {length} tokens a text", tokens / seconds / 1e6, "million tokens/s", 2.0 * tokens * width / seconds / memory);
    }

    private static void Search(AcceleratorStream stream, Figures figures, int rows, double memory)
    {
        using var codes = Random(stream, (long)rows * Width, 9);
        using var bounds = stream.Accelerator.Allocate(12L * rows);
        stream.Fill(bounds, 0, 0, bounds.Bytes);
        foreach (var queries in new[] { 1, 8 })
        {
            const int candidates = 128;
            using var query = Random(stream, (long)queries * Width, 10);
            using var figuresOfQuery = stream.Accelerator.Allocate<float>([.. Enumerable.Repeat(1f, queries * 3)], stream);
            using var work = stream.Accelerator.Allocate(TopK.WorkBytes(rows, queries, candidates));
            using var other = stream.Accelerator.Allocate(TopK.WorkBytes(rows, queries, candidates));
            var seconds = Figures.Best(stream, 5, () => TopK.Launch(stream, codes, bounds, null, query, figuresOfQuery, work, other, rows, Width, queries, candidates));
            figures.Add($"search/{queries}", $"scan of {rows} x {Width} signed bytes for {queries} queries, best {candidates}", queries / seconds, "queries/s", (double)rows * (Width + 12) / seconds / memory);
        }
    }

    /// <summary>Device memory of random bytes, the same few megabytes again and again. As bf16 their exponents would be wild, so those are kept small.</summary>
    private static MemoryBuffer Random(AcceleratorStream stream, long bytes, int seed)
    {
        var some = new byte[(int)Math.Min(bytes, 8 << 20)];
        new Random(seed).NextBytes(some);
        for (var i = 1; i < some.Length; i += 2) { some[i] = (byte)((some[i] & 0x80) | 0x3D); }

        var buffer = stream.Accelerator.Allocate(bytes);
        for (var at = 0L; at < bytes; at += some.Length) { stream.Upload<byte>(some.AsSpan(0, (int)Math.Min(some.Length, bytes - at)), buffer, at); }
        stream.Synchronize();
        return buffer;
    }
}
