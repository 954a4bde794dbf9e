using System.Text;
using System.Text.Json.Nodes;
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
        "\ud83d\ude00\ud83d\ude00 \ud83d\ude00", "\0\0\0", "\u00a0\u00a0x", "\u3000y", new('a', 64), new('a', 65), new('a', 700), new('!', 64), new(' ', 300), "!" + new string('\n', 100), new('9', 500),
        string.Concat(Enumerable.Repeat("aB", 300)), string.Concat(Enumerable.Repeat("\u0e01\u0e34", 300)),
    ];

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
                foreach (var pattern in Enum.GetNames<SplitPattern>()) { files.Add(kind, pattern); }
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
        string[] parts = ["'", "s", "'s", "'LL", "\u017f", " ", "  ", "\n", "\r", "\t", "/", "a", "B", "Ab", "the", "\u01c5", "\u0301", "\u4e2d", "\u0e01\u0e34", "1", "\u0662", "!", "...", "\ud83d\ude00", "\0", "\u00a0", "\u2028"];
        var fuzz = Enumerable.Range(0, 3000).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => parts[random.Next(parts.Length)])));
        Same.Ids(device, file, [.. Hostile.Concat(Fixture.Texts).Concat(fuzz).Where(text => kind != DeviceKind.Cpu || text.Length < 400).Select(Encoding.UTF8.GetBytes)]);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void leaves_to_the_cpu_what_no_place_is_certain_in(DeviceKind kind)
    {
        using var device = DeviceTokeniser.TryMake(Each.Of(kind), File("bytes"))!;
        ReadOnlyMemory<byte>[] texts = [.. ((string[])["a b", new string('a', DeviceBytePair.StretchBytes + 1), "b<|cut|>", new string('\u4e2d', DeviceBytePair.StretchBytes), "c"]).Select(Encoding.UTF8.GetBytes), new byte[] { 0xFF }];
        using var tokens = device.Run(texts);
        Assert.Equal([1, 2, 3, 5], tokens.Left);
        var (ids, offsets) = tokens.Download();
        Assert.Equal(File("bytes").Encode("c"u8, new EncodeOptions(AddSpecialTokens: false)).Ids, ids[offsets[4]..offsets[5]]);
    }

    [Fact]
    public void leaves_all_texts_to_the_cpu_where_too_many_are_to_be_named()
    {
        using var device = DeviceTokeniser.TryMake(Each.Of(DeviceKind.Cpu), File("bytes"))!;
        var letters = new string('a', DeviceBytePair.StretchBytes + 1) + " ";
        using var tokens = device.Run([.. Enumerable.Range(0, 3).Select(i => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(i == 0 ? "a" : string.Concat(Enumerable.Repeat(letters, TokenKernels.Left / 2 + 1))))]);
        Assert.Equal([0, 1, 2], tokens.Left);
    }

    [Fact]
    public void is_not_made_of_other_stages()
    {
        foreach (var name in (string[])["characters", "affixes", "unigram", "fallback"]) { Assert.Null(DeviceTokeniser.TryMake(Each.Of(DeviceKind.Cpu), Tokeniser.Load(Fixture.File(name)))); }
    }

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
