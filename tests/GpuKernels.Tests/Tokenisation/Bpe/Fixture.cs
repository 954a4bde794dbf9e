using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

/// <summary>A small vocabulary, texts, and hashes of what the references make of them; written by bench/parity/fixtures.mjs.</summary>
internal static class Fixture
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Tokenisation", "Bpe", "Fixtures");

    public static byte[] Ranks => System.IO.File.ReadAllBytes(Path.Combine(Folder, "small.tiktoken"));

    public static byte[] File(string name) => System.IO.File.ReadAllBytes(Path.Combine(Folder, $"{name}.json"));

    public static IEnumerable<string> Texts => System.IO.File.ReadLines(Path.Combine(Folder, "texts.jsonl")).Select(line => JsonSerializer.Deserialize<string>(line)!);

    public static string ReferenceHash(string name)
    {
        using var hashes = JsonDocument.Parse(File("hashes"));
        return hashes.RootElement.GetProperty(name).GetString()!;
    }

    /// <summary>Over the number of ids of each text and the ids, as the script hashes the reference's.</summary>
    public static string Hash(Func<string, IReadOnlyList<int>> encode)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var text in Texts)
        {
            var ids = encode(text);
            var bytes = new byte[(ids.Count + 1) * sizeof(int)];
            BinaryPrimitives.WriteInt32LittleEndian(bytes, ids.Count);
            for (var i = 0; i < ids.Count; i++) { BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan((i + 1) * sizeof(int)), ids[i]); }

            hash.AppendData(bytes);
        }

        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
