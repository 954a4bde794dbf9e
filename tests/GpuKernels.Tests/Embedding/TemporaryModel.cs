using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.GpuKernels.Tests.Embedding;

/// <summary>A model's directory that a test fills, removed with it.</summary>
internal sealed class TemporaryModel : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("model-").FullName;

    public TemporaryModel Write(string file, string text) => Write(file, Encoding.UTF8.GetBytes(text));

    public TemporaryModel Write(string file, byte[] bytes)
    {
        var path = System.IO.Path.Combine(Path, file);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
        return this;
    }

    public TemporaryModel WriteWeights(params IEnumerable<(string Name, string Type, long[] Shape, byte[] Data)> tensors) => Write("model.safetensors", Safetensors(tensors));

    public static byte[] Safetensors(IEnumerable<(string Name, string Type, long[] Shape, byte[] Data)> tensors)
    {
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        var data = new MemoryStream();
        foreach (var (name, type, shape, bytes) in tensors)
        {
            header[name] = new JsonObject { ["dtype"] = type, ["shape"] = new JsonArray([.. shape.Select(dimension => JsonValue.Create(dimension))]), ["data_offsets"] = new JsonArray(data.Length, data.Length + bytes.Length) };
            data.Write(bytes);
        }

        return Safetensors(header.ToJsonString(), data.ToArray());
    }

    public static byte[] Safetensors(string header, byte[] data)
    {
        var bytes = new byte[8 + Encoding.UTF8.GetByteCount(header) + data.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)Encoding.UTF8.GetByteCount(header));
        Encoding.UTF8.GetBytes(header, bytes.AsSpan(8));
        data.CopyTo(bytes, bytes.Length - data.Length);
        return bytes;
    }

    public static byte[] Floats(params ReadOnlySpan<float> values) => MemoryMarshal.AsBytes(values).ToArray();

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
