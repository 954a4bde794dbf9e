using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.Kernels;

/// <summary>Every kernel against its reference on the CPU, with one line each: for a machine that has a card and no SDK. The tests do the same and more.</summary>
internal static class DeviceChecks
{
    private const int Rows = 200;
    private const int Wide = 384;

    private static readonly int[] Offsets = [0, 1, 40, 40, 128, Rows];

    /// <param name="rounds">Of hostile texts, each of other ones: 1 takes some seconds, and hundreds are a fuzz.</param>
    public static bool Run(Accelerator accelerator, TextWriter output, int rounds)
    {
        using var cpu = new CpuAccelerator();
        var right = true;

        void Check(string name, double bound, int results, int bytes, Action<On, MemoryBuffer> work)
        {
            double error;
            try { error = Error(One(cpu, results, bytes, work), One(accelerator, results, bytes, work), bytes); }
            catch (DeviceException e)
            {
                output.WriteLine($"WRONG {name,-28} {e.Message}");
                right = false;
                return;
            }

            var fits = error <= bound;
            right &= fits;
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(fits ? "right" : "WRONG")} {name,-28} error {error:0.0e+0}, bound {bound:0.0e+0}"));
        }

        foreach (var wide in new[] { 64, 128 })
        {
            foreach (var epilogue in Enum.GetValues<Epilogue>())
            {
                Check($"gemm{wide} {epilogue}", 1e-3, Rows * Wide, 2, (on, to) =>
                    Gemm.Launch(on.Stream, epilogue, on.Halves(1, Rows * Wide), on.Halves(2, Wide * Wide), on.Floats(3, Wide), on.Halves(4, Rows * Wide), to, Rows, Wide, Wide, wide));
            }
        }

        // On a card the kernels for warpgroups are those of one architecture; elsewhere they run as the others do.
        if (accelerator.HasWarpgroups || accelerator.Info.Kind != DeviceKind.Cuda)
        {
            Check("hopper: projection", 1e-3, Rows * 2 * Wide, 2, (on, to) =>
                Hopper.Project(on.Stream, on.Halves(21, Rows * Wide), on.Up<ushort>(Hopper.PackProjection(Bf16.From(On.Values(22, 2 * Wide * Wide)), On.Values(23, 2 * Wide))), to, Rows, 2 * Wide));
            const int middle = 160;
            Check("hopper: after attention", 2e-3, Rows * Wide, 2, (on, to) =>
            {
                var packed = Hopper.PackAfterAttention(new AfterAttentionWeights
                {
                    Output = Bf16.From(On.Values(24, Wide * Wide)),
                    OutputBias = On.Values(25, Wide),
                    OutputGain = On.Values(26, Wide),
                    OutputShift = On.Values(27, Wide),
                    Up = Bf16.From(On.Values(28, middle * Wide)),
                    Down = Bf16.From(On.Values(29, middle * Wide)),
                    DownBias = On.Values(30, Wide),
                    DownGain = On.Values(31, Wide),
                    DownShift = On.Values(32, Wide),
                });
                Hopper.AfterAttention(on.Stream, on.Halves(33, Rows * Wide), on.Halves(34, Rows * Wide), on.Up<ushort>(packed), on.Floats(35, middle), to, Rows, middle, 1e-12f);
            });
        }

        foreach (var head in new[] { 32, 64 })
        {
            var tiles = Attention.Tiles(Offsets, head);
            Check($"attention{head}", 5e-3, Rows * 2 * head, 2, (on, to) => Attention.Launch(on.Stream, on.Halves(5, Rows * 6 * head), to, on.Up<int>(tiles), tiles.Length / 3, Rows, 2, head));
            Check($"attention{head} with a bias", 5e-3, Rows * 2 * head, 2, (on, to) =>
                Attention.Launch(on.Stream, on.Halves(5, Rows * 6 * head), to, on.Up<int>(tiles), tiles.Length / 3, Rows, 2, head, on.Floats(6, 4 * Attention.Reach(Rows)), Attention.Reach(Rows)));
        }

        foreach (var width in new[] { Wide, 1024 })
        {
            Check($"layer norm {width}", 1e-3, Rows * width, 2, (on, to) => GpuKernels.Kernels.Rows.LayerNorm(on.Stream, on.Halves(6, Rows * width), on.Floats(7, width), on.Floats(8, width), to, Rows, width, 1e-12f));
            Check($"embeddings {width}", 1e-3, Rows * width, 2, (on, to) =>
            {
                int[] ids = [.. Enumerable.Range(0, Rows).Select(i => i * 7 % 50)], zeros = new int[Rows];
                GpuKernels.Kernels.Rows.Embed(on.Stream, on.Up<int>(ids), on.Up<int>(ids), on.Up<int>(zeros), on.Halves(9, 50 * width), on.Halves(10, 50 * width), on.Halves(11, width), on.Floats(12, width), on.Floats(13, width), to, Rows, width, 1e-12f);
            });
        }

        foreach (var pooling in Enum.GetValues<RowPooling>())
        {
            Check($"pooling {pooling}", 1e-5, (Offsets.Length - 1) * Wide, 4, (on, to) => GpuKernels.Kernels.Rows.Pool(on.Stream, on.Halves(14, Rows * Wide), on.Up<int>(Offsets), to, Offsets.Length - 1, Wide, pooling, normalise: true));
        }

        Check("static embedding", 1e-5, (Offsets.Length - 1) * Wide, 4, (on, to) =>
            GpuKernels.Kernels.Rows.GatherMean(on.Stream, on.Up<int>([.. Enumerable.Range(0, Rows).Select(i => i * 7 % 50)]), on.Up<int>(Offsets), on.Halves(15, 50 * Wide), on.Floats(16, 50), to, Offsets.Length - 1, Wide, normalise: true));

        const int searched = 5000, candidates = 20;
        Check("search", 0, candidates * 3, 8, (on, to) =>
        {
            var random = new Random(17);
            var codes = new byte[searched * Wide];
            random.NextBytes(codes);
            var bytes = TopK.WorkBytes(searched, 3, candidates);
            float[] figures = [.. Enumerable.Range(0, searched * 3).Select(i => 0.001f + (i % 7 * 0.01f))];
            var found = TopK.Launch(on.Stream, on.Up<byte>(codes), on.Up<float>(figures), null, on.Up<byte>(codes.AsSpan()[..(3 * Wide)]), on.Up<float>(figures.AsSpan()[..9]), on.New(bytes), on.New(bytes), searched, Wide, 3, candidates);
            on.Stream.Copy(found, 0, to, 0, candidates * 3 * 8);
        });
        right &= Tokens(accelerator, output, "WordPiece", [WordPieceFile(5_000)], rounds);
        right &= Tokens(accelerator, output, "byte-level BPE", [BytePairFile(3_000), .. SplitPatterns.Supported.Select(regex => BytePairFile(3_000, regex))], rounds);
        return right;
    }

    /// <summary>A tokenizer.json like BERT's, with a made-up vocabulary: letters, their continuations, and words of two or three syllables.</summary>
    public static byte[] WordPieceFile(int words)
    {
        var vocabulary = new JsonObject();
        void Add(string token) => vocabulary.TryAdd(token, vocabulary.Count);
        foreach (var token in (string[])["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "-", "\u4e2d"]) { Add(token); }
        for (var c = 'a'; c <= 'z'; c++)
        {
            Add($"{c}");
            Add($"##{c}");
        }

        for (var i = 0; vocabulary.Count < words; i++) { Add(i % 5 == 0 ? $"##{Word(i)[..3]}" : Word(i)); }

        return JsonSerializer.SerializeToUtf8Bytes(new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["post_processor"] = null,
            ["decoder"] = null,
            ["added_tokens"] = new JsonArray(new JsonObject { ["id"] = 3, ["content"] = "[SEP]", ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true }),
            ["normalizer"] = new JsonObject { ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = true, ["strip_accents"] = null, ["lowercase"] = true },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100, ["vocab"] = vocabulary },
        });
    }

    /// <summary>Of the words' letters more merges cannot be made: 80 syllables, and 6,400 pairs of them with and without a space.</summary>
    public const int MostBytePairs = 12_000;

    /// <summary>A tokenizer.json with merges of letters to syllables and of those to words, like Llama 3's with its regular expression, like GPT-2's with a space before each text.</summary>
    public static byte[] BytePairFile(int words, string? regex = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(words, MostBytePairs);
        var vocabulary = new JsonObject();
        var merges = new JsonArray();
        for (var value = 0; value < 256; value++) { vocabulary.Add(Encoding.UTF8.GetString(ByteLevel.Spelled([(byte)value])), value); }

        void Merge(string left, string right)
        {
            if (vocabulary.TryAdd(left + right, vocabulary.Count)) { merges.Add(new JsonArray(left, right)); }
        }

        for (var i = 0; vocabulary.Count < words; i++)
        {
            var word = Word(i);
            Merge($"{word[0]}", $"{word[1]}");
            Merge($"{word[2]}", $"{word[3]}");
            Merge(word[..2], word[2..4]);
            Merge(Encoding.UTF8.GetString(ByteLevel.Spelled(" "u8)), word[..4]);
        }

        var bytes = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = regex is null, ["trim_offsets"] = true, ["use_regex"] = regex is null };
        var split = new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = regex }, ["behavior"] = "Isolated", ["invert"] = false };
        return JsonSerializer.SerializeToUtf8Bytes(new JsonObject
        {
            ["added_tokens"] = new JsonArray(new JsonObject { ["id"] = 0, ["content"] = "[SEP]", ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true }),
            ["pre_tokenizer"] = regex is null ? bytes : new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(split, bytes) },
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = merges },
        });
    }

    public static DeviceTokeniser OnDevice(Accelerator accelerator, byte[] file) =>
        DeviceTokeniser.TryMake(accelerator, Tokeniser.Load(file)) ?? throw new InvalidOperationException("The tokeniser is not for a device.");

    /// <summary>Words of the vocabulary and others, in mixed case, with accents and Chinese here and there.</summary>
    public static List<ReadOnlyMemory<byte>> Texts(int bytes, int each)
    {
        var random = new Random(31);
        byte[][] words = [.. Enumerable.Range(0, 60_000).Select(number => Encoding.UTF8.GetBytes(Word(number)))];
        var texts = new List<ReadOnlyMemory<byte>>();
        var text = new List<byte>();
        for (var written = 0; written < bytes; written += each)
        {
            text.Clear();
            while (text.Count < each)
            {
                var word = words[random.Next(words.Length)];
                var kind = random.Next(40);
                text.AddRange(kind switch { 0 => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(word).ToUpperInvariant()), 2 => "\u4e2d\u6587"u8, _ => word });
                text.AddRange(kind switch { 1 => "\u00e9 "u8, 3 => ", "u8, 4 => ". "u8, _ => " "u8 });
            }

            texts.Add(text.ToArray());
        }

        return texts;
    }

    private static string Word(int number)
    {
        const string consonants = "bcdfghklmnprstvw", vowels = "aeiou";
        var word = new StringBuilder();
        for (var rest = (number * 2654435761L) & 0xFFFFFF; word.Length < 4 || rest > 0xFF; rest /= 80) { word.Append(consonants[(int)(rest % 16)]).Append(vowels[(int)(rest / 16 % 5)]); }

        return word.ToString();
    }

    /// <summary>Letters, marks, controls, long words, and now and then bytes that are no text, so that every rule meets every place; and texts that are one text cut anywhere.</summary>
    private static List<ReadOnlyMemory<byte>> HostileTexts(int seed)
    {
        var random = new Random(seed);
        byte[][] text = [.. ((string[])[" ", " ", "  ", "a", "un", "the ", "Ba", "\u0130", ",", "'s", "[", "12", "\u4e2d", "\u0e01\u0e34", "\uac01\uac00", "\u00e9", "e\u0301", "\u0000", "\u200d", "\ud83d\ude00", "\u00a0", "\r\n"]).Select(Encoding.UTF8.GetBytes)];
        byte[][] rare = [.. ((string[])[new('x', 95), new('y', 101), new('\ud55c', 99), new('\u0000', 40), new('\u0301', 200), "[SEP]"]).Select(Encoding.UTF8.GetBytes), [0x80], [0xC3], [0xE4, 0xB8], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF]];
        var texts = new List<ReadOnlyMemory<byte>>();
        foreach (var (count, parts) in ((int, int)[])[(400, 12), (60, 400), (4, 9000)])
        {
            for (var i = 0; i < count; i++)
            {
                // Whole texts of few parts meet what a mixture of all hardly has, such as a word without an end.
                var some = random.Next(1, text.Length + 1);
                var rarely = random.Next(3) switch { 0 => 0, 1 => 4, _ => 150 };
                texts.Add(Enumerable.Range(0, random.Next(parts)).SelectMany(_ => random.Next(1000) < rarely ? rare[random.Next(rare.Length)] : text[(random.Next(some) * 7) % text.Length]).ToArray());
            }
        }

        // One text after the other, cut anywhere, so that characters lie in two.
        var stream = Enumerable.Range(0, 1000).SelectMany(_ => random.Next(300) == 0 ? rare[random.Next(rare.Length)] : text[random.Next(text.Length)]).ToArray();
        for (var at = 0; at < stream.Length;)
        {
            var end = Math.Min(stream.Length, at + random.Next(20));
            texts.Add(stream.AsMemory(at..end));
            at = end;
        }

        return texts;
    }

    /// <summary>Usual texts with each file, then rounds of hostile ones with a file each, in turn.</summary>
    private static bool Tokens(Accelerator accelerator, TextWriter output, string name, IReadOnlyList<byte[]> files, int rounds)
    {
        var (all, left, wrong) = (0, 0, 0);
        try
        {
            for (var number = 0; number < files.Count; number++)
            {
                var cpu = Tokeniser.Load(files[number]);
                using var device = OnDevice(accelerator, files[number]);
                device.LaunchTiles = 7;
                for (var round = 0; round <= rounds; round += round == 0 ? number + 1 : files.Count)
                {
                    var texts = round == 0 ? Texts(100_000, 700) : HostileTexts(round);
                    var onCpu = new PackedTokens();
                    cpu.Pack(texts, onCpu, new EncodeOptions(AddSpecialTokens: false));
                    using var tokens = device.Run(texts);
                    var (ids, offsets) = tokens.Download();
                    for (var i = 0; i < texts.Count; i++)
                    {
                        // What the device leaves is right, but of usual texts none may be left, and all that are not UTF-8 must be.
                        var isLeft = tokens.Left.Contains(i);
                        var isRight = isLeft ? round > 0 : Utf8.IsValid(texts[i].Span) && onCpu[i].SequenceEqual(ids.AsSpan(offsets[i]..offsets[i + 1]));
                        (all, left, wrong) = (all + 1, left + (isLeft ? 1 : 0), wrong + (isRight ? 0 : 1));
                    }
                }
            }
        }
        catch (DeviceException e)
        {
            output.WriteLine($"WRONG {name,-28} {e.Message}");
            return false;
        }

        output.WriteLine($"{(wrong == 0 ? "right" : "WRONG")} {name,-28} {wrong} of {all} texts differ from the CPU's ids; {left} were left to it");
        return wrong == 0;
    }

    /// <summary>||found - reference|| / ||reference||; for whole numbers the part that differs.</summary>
    private static double Error(byte[] reference, byte[] found, int bytes)
    {
        if (bytes == 8) { return reference.Zip(found).Count(pair => pair.First != pair.Second) / (double)reference.Length; }

        double difference = 0, length = 0;
        for (var i = 0; i < reference.Length; i += bytes)
        {
            double a = bytes == 2 ? Bf16.ToSingle(BitConverter.ToUInt16(reference, i)) : BitConverter.ToSingle(reference, i);
            double b = bytes == 2 ? Bf16.ToSingle(BitConverter.ToUInt16(found, i)) : BitConverter.ToSingle(found, i);
            difference += (a - b) * (a - b);
            length += a * a;
        }

        // Not a number is more than any bound.
        return double.IsNaN(difference) ? double.PositiveInfinity : Math.Sqrt(difference / length);
    }

    private static byte[] One(Accelerator accelerator, int results, int bytes, Action<On, MemoryBuffer> work)
    {
        using var on = new On(accelerator);
        using var to = accelerator.Allocate((long)results * bytes);
        on.Stream.Fill(to, 0xFF, 0, to.Bytes);
        work(on, to);
        var found = new byte[to.Bytes];
        on.Stream.Download(to, found.AsSpan());
        return found;
    }

    private sealed class On(Accelerator accelerator) : IDisposable
    {
        private readonly List<MemoryBuffer> _made = [];

        public AcceleratorStream Stream { get; } = accelerator.CreateStream();

        public MemoryBuffer New(long bytes)
        {
            var buffer = accelerator.Allocate(bytes);
            _made.Add(buffer);
            return buffer;
        }

        public MemoryBuffer Up<T>(ReadOnlySpan<T> values)
            where T : unmanaged
        {
            var buffer = accelerator.Allocate(values, Stream);
            _made.Add(buffer);
            return buffer;
        }

        public MemoryBuffer Halves(int seed, int count) => Up<ushort>(Bf16.From(Values(seed, count)));

        public MemoryBuffer Floats(int seed, int count) => Up<float>(Values(seed, count));

        public void Dispose()
        {
            Stream.Synchronize();
            foreach (var buffer in _made) { buffer.Dispose(); }
            Stream.Dispose();
        }

        public static float[] Values(int seed, int count)
        {
            var random = new Random(seed);
            return [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 2)];
        }
    }
}
