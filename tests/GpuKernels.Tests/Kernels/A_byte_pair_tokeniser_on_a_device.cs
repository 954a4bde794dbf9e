using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Kernels;

/// <summary>Against the tokeniser on the CPU, which is tested against Hugging Face's and OpenAI's.</summary>
[Collection("devices")]
public class A_byte_pair_tokeniser_on_a_device
{
    private static readonly string[] Hostile =
    [
        "", " ", "'", "''", "'s", "'S", "'\u017f", "'re'VE'll'LL'd'", "a'", "don't", "DON'T", "'rE", "can'\u017fx", "  a", "a  ", "a \n b", "\r\n\r\n  x", "\n/a//\r/", "a/\n\r/b",
        "1234567 89", "x12y345", "camelCaseXMLHttp", "ABCdef", "\u0301", "a\u0301b", "\u0301A\u0301B", "\u0301AB c", " \u0301", "\t\u0301x", "\u0e01\u0e34\u0e07", "\u4e2d\u6587\uff0c\u4f60\u597d",
        "\ud83d\ude00\ud83d\ude00 \ud83d\ude00", "\0\0\0", "\u00a0\u00a0x", "\u3000y", new('a', 64), new('a', 65), new('a', 400), new('!', 64), new(' ', 300), "!" + new string('\n', 100), new('9', 400),
        string.Concat(Enumerable.Repeat("aB", 200)), string.Concat(Enumerable.Repeat("\u0e01\u0e34", 66)),
    ];

    private static readonly string[] Parts = ["'", "s", "'s", "'LL", "\u017f", " ", "  ", "\n", "\r", "\t", "/", "a", "B", "Ab", "the", "\u01c5", "\u0301", "\u4e2d", "\u0e01\u0e34", "1", "\u0662", "!", "...", "\ud83d\ude00", "\0", "\u00a0", "\u2028"];

    public static TheoryData<DeviceKind> Kinds => [DeviceKind.Cpu, DeviceKind.OpenCl, DeviceKind.Cuda];

    /// <summary>Every device with every pattern, with whole pieces before merges and without, with a space before the text and without.</summary>
    public static TheoryData<DeviceKind, string> Files
    {
        get
        {
            var files = new TheoryData<DeviceKind, string>();
            foreach (var kind in (DeviceKind[])[DeviceKind.OpenCl, DeviceKind.Cuda])
            {
                files.Add(kind, "bytes");
                files.Add(kind, "whole");
                files.Add(kind, "prefix");
                foreach (var pattern in Enum.GetNames<SplitPattern>().Except([nameof(SplitPattern.DeepSeekV3)])) { files.Add(kind, pattern); }
            }

            files.Add(DeviceKind.Cpu, nameof(SplitPattern.O200k));
            return files;
        }
    }

    [Theory, MemberData(nameof(Files))]
    public void gives_the_ids_that_the_cpu_gives(DeviceKind kind, string name)
    {
        var file = File(name);
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), file)!;
        var random = new Random(5);
        var fuzz = Enumerable.Range(0, 3000).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => Parts[random.Next(Parts.Length)])));

        // Of texts of one or two characters, which have no certain place, as much as always fits.
        var fixture = Fixture.Texts.Select(text => text.Distinct().Count() > 2 ? text : text[..Math.Min(text.Length, 150)]);
        Same.Ids(device, file, [.. Hostile.Concat(fixture).Concat(fuzz).Where(text => kind != DeviceKind.Cpu || text.Length < 400).Select(Encoding.UTF8.GetBytes)]);
    }

    /// <summary>Groups of work items take tiles of the bytes wherever those begin and end, and a launch a few of them.</summary>
    [Theory, MemberData(nameof(Files))]
    public void gives_them_wherever_a_tile_ends(DeviceKind kind, string name)
    {
        var file = File(name);
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), file)!;
        device.LaunchTiles = 3;
        var random = new Random(7);

        // As many pieces that are no tokens as a tile can have.
        var pairs = string.Concat(Enumerable.Repeat(" Z", BytePairKernels.Tile / 2)) + string.Concat(Enumerable.Repeat("Bq", (BytePairKernels.Span - BytePairKernels.Tile) / 2 - 1));
        var texts = new List<byte[]> { Encoding.UTF8.GetBytes(pairs) };
        foreach (var most in kind == DeviceKind.Cpu ? [3, 40] : (int[])[3, 40, 500, 4000])
        {
            for (var i = 0; i < 12_000 / most; i++) { texts.Add(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, random.Next(most)).Select(_ => Parts[random.Next(Parts.Length)])))); }
        }

        // What a tile's end may cut, at every place of it.
        for (var i = 0; i < 70; i++) { texts.Add(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("a, ", 1200)) + "  the\u00e9\ud83d\ude00 12345'll!!\r\n" + new string('y', 33 - (i % 3)) + " end")); }

        texts.AddRange([Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("ab1", 3000))), Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("a!", 5000))), []]);
        Same.Ids(device, file, texts);
    }

    /// <summary>Whatever bytes there are, texts that are left are those that the reference leaves, and the others are as on the CPU.</summary>
    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void leaves_the_texts_that_the_reference_leaves(DeviceKind kind)
    {
        var file = File("prefix");
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), file)!;
        using var reference = DeviceTokeniser.TryMake(Each.Of(DeviceKind.Cpu), file)!;
        device.LaunchTiles = 5;
        var random = new Random(8);
        byte[][] parts = [.. ((string[])[" ", "a", "the", "\u00e9", "\u4e2d", "\ud83d\ude00", "\u0e01\u0e34", "<", "<|cut|>", new('a', 500), new('\u4e2d', 500)]).Select(Encoding.UTF8.GetBytes), [0x80], [0xC3], [0xE4, 0xB8], [0xF0, 0x9F, 0x98], [0xED, 0xA0, 0x80], [0xFF], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80]];
        var texts = new List<ReadOnlyMemory<byte>>();
        for (var i = 0; i < 1000; i++)
        {
            // Two of three have but what begins the list: few of those are left.
            var some = i % 3 == 0 ? parts.Length : 8;
            texts.Add(Enumerable.Range(0, random.Next(i % 50 == 1 ? 2000 : 30)).SelectMany(_ => parts[random.Next(some)]).ToArray());
        }

        using var found = device.Run(texts);
        using var expected = reference.Run(texts);
        Assert.Equal(expected.Left, found.Left);
        Assert.InRange(found.Left.Count, 200, 500);
        Assert.All(Enumerable.Range(0, texts.Count).Where(text => !Utf8.IsValid(texts[text].Span)), text => Assert.Contains(text, found.Left));
        var onCpu = new PackedTokens();
        file.Pack(texts, onCpu, new EncodeOptions(AddSpecialTokens: false));
        var (ids, offsets) = found.Download();
        Assert.All(Enumerable.Range(0, texts.Count).Where(text => !found.Left.Contains(text)), text => Assert.Equal(onCpu[text].ToArray(), ids[offsets[text]..offsets[text + 1]]));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void leaves_to_the_cpu_what_does_not_fit(DeviceKind kind)
    {
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), File("bytes"))!;
        var most = new string('a', BytePairKernels.MergedBytes);
        string[] strings = ["a b", most, most + "a", "b<|cut|>", "< a", string.Concat(Enumerable.Repeat("a ", 1700)), new('1', BytePairKernels.Span), "c"];
        ReadOnlyMemory<byte>[] texts = [.. strings.Select(Encoding.UTF8.GetBytes), new byte[] { (byte)'a', 0xFF }, ReadOnlyMemory<byte>.Empty];
        using var tokens = device.Run(texts);
        Assert.Equal([2, 3, 6, 8], tokens.Left);
        var (ids, offsets) = tokens.Download();
        Assert.Equal(Ids("bytes", most), ids[offsets[1]..offsets[2]]);
        Assert.Equal(Ids("bytes", "c"), ids[offsets[7]..offsets[8]]);
        using var none = device.Run([]);
        Assert.Equal((0, 0), (none.Count, none.Texts));
    }

    /// <summary>Texts that a caller laid in pinned memory, and ids that are asked for after the next batch has begun.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void takes_texts_that_lie_in_pinned_memory(DeviceKind kind)
    {
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), File("prefix"))!;
        using var batch = new TextBatch(device.Stream, 100, 4);
        using var other = new TextBatch(device.Stream, 100, 4);
        " the endthe a\u00e9"u8.CopyTo(batch.Memory);
        ((int[])[0, 8, 8, 11]).CopyTo(batch.Starts);
        batch.Set(15, 4);
        " b"u8.CopyTo(other.Memory);
        other.Starts[0] = 0;
        other.Set(2, 1);
        using var first = device.Run(batch);
        using var second = device.Run(other);
        using var ids = new PinnedBuffer(device.Stream, 400);
        using var offsets = new PinnedBuffer(device.Stream, 100);
        first.Download(ids, offsets);
        var ends = MemoryMarshal.Cast<byte, int>(offsets.Span)[..5].ToArray();
        Assert.Equal((0, ends[2], first.Count), (ends[0], ends[1], ends[4]));

        // The third is to get a space that is not there.
        Assert.Equal([2], first.Left);
        Assert.Equal(Ids("prefix", " the end"), MemoryMarshal.Cast<byte, int>(ids.Span)[..ends[1]].ToArray());
        Assert.Equal(Ids("prefix", " a\u00e9"), MemoryMarshal.Cast<byte, int>(ids.Span)[ends[3]..ends[4]].ToArray());
        Assert.Equal(Ids("prefix", "b"), second.Download().Ids);
    }

    [Fact]
    public void is_not_made_of_other_stages()
    {
        foreach (var name in (string[])["characters", "affixes", "unigram", "fallback"]) { Assert.Null(DeviceTokeniser.TryMake(Each.Of(DeviceKind.Cpu), Tokeniser.Load(Fixture.File(name)))); }
    }

    private static int[] Ids(string file, string text) => [.. File(file).Encode(Encoding.UTF8.GetBytes(text), new EncodeOptions(AddSpecialTokens: false)).Ids];

    private static Tokeniser File(string name)
    {
        var file = JsonNode.Parse(Fixture.File("bytes"))!;
        file["model"]!["ignore_merges"] = name == "whole";
        file["normalizer"] = null;
        file["added_tokens"] = new JsonArray(new JsonObject { ["id"] = 0, ["content"] = "<|cut|>", ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true });
        var bytes = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = name == "prefix", ["trim_offsets"] = true, ["use_regex"] = !Enum.TryParse<SplitPattern>(name, out var pattern) };
        var regex = SplitPatterns.Supported.FirstOrDefault(each => SplitPatterns.TryRecognise(each, out var known) && known == pattern);
        var split = new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = regex }, ["behavior"] = "Isolated", ["invert"] = false };
        file["pre_tokenizer"] = (bool)bytes["use_regex"]! ? bytes : new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray(split, bytes) };
        return Tokeniser.Load(Encoding.UTF8.GetBytes(file.ToJsonString()));
    }
}
