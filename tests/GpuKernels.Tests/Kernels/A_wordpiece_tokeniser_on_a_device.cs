using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
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

    /// <summary>Groups of work items take tiles of the bytes wherever those begin and end, and a launch a few of them.</summary>
    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void gives_them_wherever_a_tile_ends(DeviceKind kind)
    {
        using var device = New(kind);
        ((DeviceWordPiece)device).LaunchTiles = 3;
        var random = new Random(7);
        string[] parts = [" ", " ", "  ", "a", "un", "affable", "the ", "The", ",", "#", "\u4e2d", "\uac01\uac00", "\u00e9", "e\u0301", "\u0000", "\u200d\u200b", "\ud83d\ude00", "\u0130", "\u00a0", "\t", new('x', 97), new('\ud55c', 90)];
        var texts = new List<byte[]>();
        foreach (var most in (int[])[3, 40, 500, 4000])
        {
            for (var i = 0; i < 30_000 / most; i++) { texts.Add(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, random.Next(most)).Select(_ => parts[random.Next(parts.Length)])))); }
        }

        // A word, then a tile's end at every place of it and of what follows.
        for (var i = 0; i < 140; i++) { texts.Add(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("a, ", 1100)) + new string(' ', 200 + i) + "unaffable\u00e9\ud83d\ude00" + new string('y', 60 + i) + " end")); }

        texts.AddRange([Encoding.UTF8.GetBytes(new string('z', 20_000)), Encoding.UTF8.GetBytes(new string('!', 12_000)), Encoding.UTF8.GetBytes(new string('\uac01', 9_000)), []]);
        Compare(device, texts);
    }

    /// <summary>Whatever bytes there are, texts that are left are those that the reference leaves, and the others are as on the CPU.</summary>
    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void leaves_the_texts_that_the_reference_leaves(DeviceKind kind)
    {
        var random = new Random(8);
        byte[][] parts = [.. ((string[])[" ", "a", "bc", "\u00e9", "\u4e2d", "\ud83d\ude00", "[", "[SEP]", "\u0301\u0301\u0301\u0301\u0301\u0301\u0301", "\u302e"]).Select(Encoding.UTF8.GetBytes), [0x80], [0xC3], [0xE4, 0xB8], [0xF0, 0x9F, 0x98], [0xED, 0xA0, 0x80], [0xFF], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80]];
        var texts = new List<ReadOnlyMemory<byte>>();
        for (var i = 0; i < 1500; i++)
        {
            // Two of three have but what begins the list: few of those are left.
            var some = i % 3 == 0 ? parts.Length : 7;
            texts.Add(Enumerable.Range(0, random.Next(i % 50 == 1 ? 4000 : 30)).SelectMany(_ => parts[random.Next(some)]).ToArray());
        }

        texts.Add(Encoding.UTF8.GetBytes("a" + string.Concat(Enumerable.Repeat("\u0301", 5000)) + "b"));

        // Characters of which a text has but the beginning, and the next one the rest.
        foreach (var character in (string[])["\uac01", "\u00e9", "\u4e2d", "\ud83d\ude00"])
        {
            var bytes = Encoding.UTF8.GetBytes(character);
            for (var end = 1; end < bytes.Length; end++) { texts.AddRange([new byte[] { (byte)'a' }, bytes.AsMemory(..end), bytes.AsMemory(end..), new byte[] { (byte)'b' }]); }
        }

        using var device = New(kind);
        using var reference = New(DeviceKind.Cpu);
        ((DeviceWordPiece)device).LaunchTiles = 5;
        using var found = device.Run(texts);
        using var expected = reference.Run(texts);
        Assert.Equal(expected.Left, found.Left);
        Assert.InRange(found.Left.Count, 300, 800);
        Assert.All(Enumerable.Range(0, texts.Count).Where(text => !Utf8.IsValid(texts[text].Span)), text => Assert.Contains(text, found.Left));
        var onCpu = new PackedTokens();
        OnCpu.Pack(texts, onCpu, new EncodeOptions(AddSpecialTokens: false));
        var (ids, offsets) = found.Download();
        Assert.All(Enumerable.Range(0, texts.Count).Where(text => !found.Left.Contains(text)), text => Assert.Equal(onCpu[text].ToArray(), ids[offsets[text]..offsets[text + 1]]));
    }

    /// <summary>Texts that a caller laid in pinned memory, and ids that are asked for after the next batch has begun.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void takes_texts_that_lie_in_pinned_memory(DeviceKind kind)
    {
        using var device = (DeviceWordPiece)New(kind);
        using var batch = new TextBatch(device.Stream, 100, 4);
        using var other = new TextBatch(device.Stream, 100, 4);
        "unaffablea\u00e9\u4e2d,"u8.CopyTo(batch.Memory);
        ((int[])[0, 9, 9]).CopyTo(batch.Starts);
        batch.Set(16, 3);
        "b"u8.CopyTo(other.Memory);
        other.Starts[0] = 0;
        other.Set(1, 1);
        using var first = device.Run(batch);
        using var second = device.Run(other);
        using var ids = new PinnedBuffer(device.Stream, 400);
        using var offsets = new PinnedBuffer(device.Stream, 100);
        first.Download(ids, offsets);
        var ends = MemoryMarshal.Cast<byte, int>(offsets.Span)[..4].ToArray();
        Assert.Equal((0, first.Count), (ends[0], ends[3]));
        Assert.Equal(ends[1], ends[2]);
        Assert.Equal(Encode("unaffable"), MemoryMarshal.Cast<byte, int>(ids.Span)[..ends[1]].ToArray());
        Assert.Equal(Encode("a\u00e9\u4e2d,"), MemoryMarshal.Cast<byte, int>(ids.Span)[ends[1]..ends[3]].ToArray());
        Assert.Equal(Encode("b"), second.Download().Ids);
        Assert.Throws<ArgumentException>(() => batch.Set(8, 3));
        batch.Starts[1] = 10;
        Assert.Throws<ArgumentException>(() => batch.Set(16, 3));

        static int[] Encode(string text) => [.. OnCpu.Encode(Encoding.UTF8.GetBytes(text), new EncodeOptions(AddSpecialTokens: false)).Ids];
    }

    private static bool IsSpecial(int c) => (Characters.Entries[(Characters.Pages[c >> 8] * 256) + (c & 255)] & BertCharacters.Special) != 0;

    private static DeviceTokeniser New(DeviceKind kind) => DeviceTokeniser.TryMake(Each.Of(kind), OnCpu)!;

    private static void Compare(DeviceTokeniser device, List<byte[]> texts) => Same.Ids(device, OnCpu, texts);
}
