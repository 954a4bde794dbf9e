using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Text.Json;

namespace Platform.GpuKernels.Embedding.Models;

/// <summary>The element types of the format that are read here, little-endian.</summary>
internal enum TensorType { F32, F16, BF16, I8, U8, I32, I64, F64 }

/// <summary>A tensor of a mapped file, row-major. It is valid as long as its file is open.</summary>
internal sealed unsafe class Tensor
{
    private readonly Safetensors _file;
    private readonly long _offset;

    internal Tensor(Safetensors file, string name, TensorType type, long[] shape, long offset, long elements)
    {
        (_file, Name, Type, Shape, _offset, Elements) = (file, name, type, shape, offset, elements);
    }

    public string Name { get; }
    public TensorType Type { get; }
    public IReadOnlyList<long> Shape { get; }
    public long Elements { get; }

    /// <summary>In the file.</summary>
    public long SizeBytes => Elements * Size(Type);

    /// <summary>The first byte in the mapping. Bounds were checked when the file was opened.</summary>
    public byte* Bytes => _file.At(_offset);

    public static int Size(TensorType type) => type switch
    {
        TensorType.F32 or TensorType.I32 => 4,
        TensorType.F16 or TensorType.BF16 => 2,
        TensorType.I8 or TensorType.U8 => 1,
        TensorType.I64 or TensorType.F64 => 8,
    };

    /// <summary>Elements first..first+destination.Length as 32-bit floats.</summary>
    public void CopyTo(long first, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, Elements - first);
        var bytes = Bytes + (first * Size(Type));
        switch (Type)
        {
            case TensorType.F32: new ReadOnlySpan<float>(bytes, destination.Length).CopyTo(destination); break;
            case TensorType.BF16:
                var halves = new ReadOnlySpan<ushort>(bytes, destination.Length);
                for (var i = 0; i < halves.Length; i++) { destination[i] = BitConverter.UInt32BitsToSingle((uint)halves[i] << 16); }
                break;
            case TensorType.F16:
                var half = new ReadOnlySpan<Half>(bytes, destination.Length);
                for (var i = 0; i < half.Length; i++) { destination[i] = (float)half[i]; }
                break;
            case TensorType.I8:
                var small = new ReadOnlySpan<sbyte>(bytes, destination.Length);
                for (var i = 0; i < small.Length; i++) { destination[i] = small[i]; }
                break;
            case TensorType.F64:
                var wide = new ReadOnlySpan<double>(bytes, destination.Length);
                for (var i = 0; i < wide.Length; i++) { destination[i] = (float)wide[i]; }
                break;
            case TensorType.U8 or TensorType.I32 or TensorType.I64:
                throw new UnusableModelException(_file.Name, $"tensor '{Name}' holds {Type} where weights (F32, F16, BF16, I8, F64) are expected.");
        }
    }

    /// <summary>Element <paramref name="index"/> of an integer tensor.</summary>
    public long Integer(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Elements);
        return Type switch
        {
            TensorType.I64 => ((long*)Bytes)[index],
            TensorType.I32 => ((int*)Bytes)[index],
            TensorType.I8 => ((sbyte*)Bytes)[index],
            TensorType.U8 => Bytes[index],
            TensorType.F32 or TensorType.F16 or TensorType.BF16 or TensorType.F64 => throw new UnusableModelException(_file.Name, $"tensor '{Name}' holds {Type} where whole numbers are expected."),
        };
    }
}

/// <summary>
/// A safetensors file, mapped: 8 bytes N, N bytes of JSON {name: {dtype, shape, data_offsets}}, then the tensors. As the format asks
/// (https://huggingface.co/docs/safetensors), the tensors cover what follows the header without hole or overlap. Everything in the
/// header is checked before a byte of data is touched. The file must not be truncated by others while it is open: the platform maps
/// only copies in its own folder.
/// </summary>
internal sealed unsafe class Safetensors : IDisposable
{
    private const int LengthBytes = 8;

    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _start;

    private Safetensors(string name, MemoryMappedFile mapping, long length)
    {
        Name = name;
        _mapping = mapping;
        _view = mapping.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    /// <summary>Relative to the model's directory, for messages.</summary>
    public string Name { get; }

    public IReadOnlyCollection<Tensor> Tensors => _tensors.Values;

    /// <exception cref="UnusableModelException">It is missing, too large, or not as the format says.</exception>
    public static Safetensors Open(string directory, string name)
    {
        var path = Path.Combine(directory, name);
        if (!File.Exists(path)) { throw new UnusableModelException(name, "is missing."); }

        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        var length = stream.Length;
        if (length > EmbeddingLimits.WeightBytes) { throw new UnusableModelException(name, $"has {length} bytes; {EmbeddingLimits.WeightBytes} are read at most."); }
        if (length < LengthBytes + 2) { throw new UnusableModelException(name, $"has {length} bytes: too short for a safetensors file."); }

        Span<byte> prefix = stackalloc byte[LengthBytes];
        stream.ReadExactly(prefix);
        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > EmbeddingLimits.HeaderBytes) { throw new UnusableModelException(name, $"its header claims {headerLength} bytes; {EmbeddingLimits.HeaderBytes} are read at most. Is it a safetensors file?"); }
        if ((long)headerLength > length - LengthBytes) { throw new UnusableModelException(name, $"its header claims {headerLength} bytes, and the file has {length}. Is it complete?"); }

        var header = new byte[(int)headerLength];
        stream.ReadExactly(header);
        var data = LengthBytes + (long)headerLength;
        var entries = Entries(name, header, length - data);

        var file = new Safetensors(name, MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true), length);
        foreach (var (tensor, type, shape, start, _, elements) in entries) { file._tensors.Add(tensor, new Tensor(file, tensor, type, shape, data + start, elements)); }

        return file;
    }

    public Tensor? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <summary>The tensor of that name and exactly that shape.</summary>
    public Tensor Get(string name, params ReadOnlySpan<long> shape)
    {
        var tensor = Find(name) ?? throw new UnusableModelException(Name, $"lacks the tensor '{name}'.");
        return tensor.Shape.SequenceEqual(shape.ToArray()) ? tensor
            : throw new UnusableModelException(Name, $"tensor '{name}' has the shape [{string.Join(", ", tensor.Shape)}] where config.json asks for [{string.Join(", ", shape.ToArray())}].");
    }

    public void Dispose()
    {
        if (_start is not null)
        {
            _start = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }

        _view.Dispose();
        _mapping.Dispose();
    }

    internal byte* At(long offset)
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        return _start + offset;
    }

    private static List<(string Name, TensorType Type, long[] Shape, long Start, long End, long Elements)> Entries(string file, ReadOnlySpan<byte> header, long dataLength)
    {
        var entries = new List<(string Name, TensorType Type, long[] Shape, long Start, long End, long Elements)>();
        try
        {
            var reader = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = 4 });
            Expect(ref reader, JsonTokenType.StartObject);
            var names = new HashSet<string>(StringComparer.Ordinal);
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                if (!names.Add(name)) { throw new UnusableModelException(file, $"names the tensor '{name}' twice."); }
                if (name == "__metadata__") { reader.Read(); reader.Skip(); continue; }
                if (entries.Count == EmbeddingLimits.Tensors) { throw new UnusableModelException(file, $"has more than {EmbeddingLimits.Tensors} tensors."); }

                entries.Add(Entry(file, name, ref reader));
            }

            // What follows the object may only be the spaces that align the data.
            if (reader.Read()) { throw new JsonException("more than one value"); }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new UnusableModelException(file, $"its header cannot be read: {error.Message}");
        }

        entries.Sort((left, right) => (left.Start, left.End).CompareTo((right.Start, right.End)));
        var covered = 0L;
        foreach (var (name, type, shape, start, end, elements) in entries)
        {
            if (start != covered) { throw new UnusableModelException(file, $"tensor '{name}' starts at byte {start} of the data, where the one before ends at {covered}: holes and overlaps are not allowed."); }
            if (end - start != elements * Tensor.Size(type)) { throw new UnusableModelException(file, $"tensor '{name}' has {end - start} bytes for the shape [{string.Join(", ", shape)}] of {type}."); }

            covered = end;
        }

        return covered == dataLength ? entries : throw new UnusableModelException(file, $"its tensors cover {covered} bytes, and {dataLength} follow the header. Is it complete?");
    }

    private static (string Name, TensorType Type, long[] Shape, long Start, long End, long Elements) Entry(string file, string name, ref Utf8JsonReader reader)
    {
        TensorType? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        Expect(ref reader, JsonTokenType.StartObject);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var member = reader.GetString();
            switch (member)
            {
                case "dtype":
                    Expect(ref reader, JsonTokenType.String);
                    var written = reader.GetString();
                    type = Array.IndexOf(Enum.GetNames<TensorType>(), written) >= 0 ? Enum.Parse<TensorType>(written!)
                        : throw new UnusableModelException(file, $"tensor '{name}' holds {written}, which is not read here; {string.Join(", ", Enum.GetNames<TensorType>())} are.");
                    break;
                case "shape": shape = Numbers(file, name, ref reader, EmbeddingLimits.Rank); break;
                case "data_offsets": offsets = Numbers(file, name, ref reader, 2); break;
                default: throw new UnusableModelException(file, $"tensor '{name}' has the member '{member}', which the format does not know.");
            }
        }

        if (type is null || shape is null || offsets is not [var start, var end]) { throw new UnusableModelException(file, $"tensor '{name}' lacks its dtype, shape or data_offsets."); }

        var elements = 1L;
        foreach (var dimension in shape)
        {
            elements = (Int128)elements * dimension <= EmbeddingLimits.WeightBytes ? elements * dimension
                : throw new UnusableModelException(file, $"tensor '{name}' has the shape [{string.Join(", ", shape)}], which is too large.");
        }

        return start <= end && end <= EmbeddingLimits.WeightBytes ? (name, type.Value, shape, start, end, elements)
            : throw new UnusableModelException(file, $"tensor '{name}' has the offsets {start} to {end}.");
    }

    private static long[] Numbers(string file, string name, ref Utf8JsonReader reader, int most)
    {
        Expect(ref reader, JsonTokenType.StartArray);
        var numbers = new List<long>(most);
        while (reader.Read() && reader.TokenType == JsonTokenType.Number)
        {
            if (numbers.Count == most || !reader.TryGetInt64(out var number) || number < 0) { throw new UnusableModelException(file, $"tensor '{name}' has a shape or offsets that are not up to {most} whole numbers from 0."); }

            numbers.Add(number);
        }

        return reader.TokenType == JsonTokenType.EndArray ? [.. numbers] : throw new JsonException($"the tensor '{name}' has a list with {reader.TokenType} in it");
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType token)
    {
        if (!reader.Read() || reader.TokenType != token) { throw new JsonException($"{token} expected at byte {reader.TokenStartIndex}, found {reader.TokenType}"); }
    }
}
