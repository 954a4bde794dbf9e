using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tests.Kernels;

/// <summary>Against the tokeniser on the CPU, which is tested against Hugging Face's.</summary>
[Collection("devices")]
public class A_wordpiece_tokeniser_on_a_device
{
    private static readonly byte[] Json = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Tokenisation", "WordPiece", "Fixtures", "tokenizer.json"));
    private static readonly Tokeniser OnCpu = Tokeniser.Load(Json);
    private static readonly BertCharacters Characters = BertCharacters.Make(cleanText: true, chinese: true, stripAccents: true, lowercase: true);

    public static TheoryData<DeviceKind> Kinds => [DeviceKind.Cpu, DeviceKind.OpenCl, DeviceKind.Cuda];

    [Theory, MemberData(nameof(Kinds))]
    public void gives_the_ids_that_the_cpu_gives(DeviceKind kind)
    {
        using var device = New(kind);
        var texts = Fixture.Texts.Where(text => kind != DeviceKind.Cpu || text.Length < 400).Select(Encoding.UTF8.GetBytes).ToList();
        string[] hostile = ["", " ", "a", "\u00e9\u0301", "unaffable", new('a', 100), new('a', 101), new('\u4e2d', 300), "#", "##able", "a\u0000b\ufffdc\u200bd", "x\ud83d\ude00y", string.Concat(Enumerable.Repeat("ab,", 500)), "\u01c4\u0130\u1e9e\ufb01\uac01"];
        texts.AddRange(hostile.Select(Encoding.UTF8.GetBytes));
        Compare(device, texts);
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void gives_them_for_every_character_between_letters(DeviceKind kind)
    {
        using var device = New(kind);

        // Every character of the first 65,536, and of the rest one of 61; a text has 40.
        var characters = Enumerable.Range(0, 0x11_0000).Where(c => Rune.IsValid(c) && (c < 0x1_0000 || c % 61 == 0) && !IsSpecial(c));
        Compare(device, [.. characters.Chunk(40).Select(chunk => Encoding.UTF8.GetBytes(string.Concat(chunk.Select(c => $"a{new Rune(c)}b "))))]);
    }

    [Fact]
    public void leaves_few_characters_to_the_cpu_and_says_so()
    {
        Assert.InRange(Enumerable.Range(0, 0x11_0000).Count(c => Rune.IsValid(c) && IsSpecial(c)), 1, 100);
        using var device = New(DeviceKind.Cpu);
        Assert.False(device.TryTokenise([Encoding.UTF8.GetBytes("a\u302eb")], out _, out _));
        Assert.False(device.TryTokenise([Encoding.UTF8.GetBytes("a [SEP] b")], out _, out _));
        Assert.True(device.TryTokenise([], out var ids, out var offsets));
        Assert.Equal((0, 1), (ids.Length, offsets.Length));
    }

    private static bool IsSpecial(int c) => (Characters.Entries[(Characters.Pages[c >> 8] * 256) + (c & 255)] & BertCharacters.Special) != 0;

    private static DeviceWordPiece New(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        var file = JsonNode.Parse(Json)!;
        using var model = JsonDocument.Parse(file["model"]!.ToJsonString());
        var added = file["added_tokens"]!.AsArray().Select(token => Encoding.UTF8.GetBytes((string)token!["content"]!)).ToList();
        return new DeviceWordPiece(accelerator, WordPieceModel.Read(new StageOptions("model", model.RootElement)), Characters, added);
    }

    private static void Compare(DeviceWordPiece device, List<byte[]> texts)
    {
        Assert.True(device.TryTokenise([.. texts.Select(text => (ReadOnlyMemory<byte>)text)], out var ids, out var offsets));
        var options = new EncodeOptions(AddSpecialTokens: false);
        for (var i = 0; i < texts.Count; i++)
        {
            var expected = OnCpu.Encode(texts[i], options).Ids;
            if (!expected.AsSpan().SequenceEqual(ids.AsSpan(offsets[i]..offsets[i + 1])))
            {
                Assert.Fail($"Text {i}, '{Encoding.UTF8.GetString(texts[i])}': {string.Join(' ', expected)} on the CPU, {string.Join(' ', ids[offsets[i]..offsets[i + 1]])} on the device.");
            }
        }

        Assert.Equal(ids.Length, offsets[^1]);
    }
}
