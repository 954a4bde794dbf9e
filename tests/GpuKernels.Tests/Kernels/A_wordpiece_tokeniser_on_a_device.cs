using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation;

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
        ReadOnlyMemory<byte>[] texts = [.. ((string[])["a", "a\u302eb", "a [SEP] b", "b"]).Select(Encoding.UTF8.GetBytes), new byte[] { (byte)'a', 0xC3 }];
        using (var tokens = device.Run(texts)) { Assert.Equal([1, 2, 4], tokens.Left); }

        using var none = device.Run([]);
        Assert.Equal((0, 0), (none.Count, none.Texts));
    }

    [Fact]
    public void leaves_all_texts_to_the_cpu_where_too_many_are_to_be_named()
    {
        using var device = New(DeviceKind.Cpu);
        using var tokens = device.Run([.. Enumerable.Range(0, 3).Select(_ => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(new string('\u302e', TokenKernels.Left / 2)))]);
        Assert.Equal([0, 1, 2], tokens.Left);
    }

    private static bool IsSpecial(int c) => (Characters.Entries[(Characters.Pages[c >> 8] * 256) + (c & 255)] & BertCharacters.Special) != 0;

    private static DeviceTokeniser New(DeviceKind kind) => DeviceTokeniser.TryMake(Each.Of(kind), OnCpu)!;

    private static void Compare(DeviceTokeniser device, List<byte[]> texts) => Same.Ids(device, OnCpu, texts);
}
