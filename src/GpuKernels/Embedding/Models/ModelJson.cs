using System.Text.Json;

namespace Platform.GpuKernels.Embedding.Models;

/// <summary>An object in one of a model's JSON files. Whatever is not as expected names the file and the member.</summary>
internal readonly struct ModelJson
{
    private readonly JsonElement _members;

    public ModelJson(string file, JsonElement members)
    {
        File = file;
        _members = members;
        if (members.ValueKind != JsonValueKind.Object) { throw new UnusableModelException(file, $"holds {Kind(members)} where an object is expected."); }
    }

    public string File { get; }

    public IEnumerable<JsonProperty> Members => _members.EnumerateObject();

    /// <summary>Reads a file of the model's directory, or nothing where there is none.</summary>
    public static JsonElement? Read(string directory, string file)
    {
        var path = Path.Combine(directory, file);
        if (!System.IO.File.Exists(path)) { return null; }

        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        if (stream.Length > EmbeddingLimits.JsonBytes) { throw new UnusableModelException(file, $"has {stream.Length} bytes; {EmbeddingLimits.JsonBytes} are read at most."); }

        // The file may grow while it is read: what is parsed is what was counted.
        var bytes = new byte[(int)stream.Length];
        try
        {
            stream.ReadExactly(bytes);
            var reader = new ReadOnlyMemory<byte>(bytes);
            if (reader.Span.StartsWith("\ufeff"u8)) { reader = reader[3..]; }

            using var document = JsonDocument.Parse(reader, new JsonDocumentOptions { MaxDepth = EmbeddingLimits.JsonDepth, AllowDuplicateProperties = false });
            return document.RootElement.Clone();
        }
        catch (JsonException error) { throw new UnusableModelException(file, $"is no JSON that can be read: {error.Message}"); }
        catch (EndOfStreamException) { throw new UnusableModelException(file, "became shorter while it was read."); }
    }

    public static ModelJson? ReadObject(string directory, string file) => Read(directory, file) is { } element ? new ModelJson(file, element) : null;

    /// <summary>Whether the member is there with a value other than null.</summary>
    public bool Has(string name) => _members.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public JsonElement? Value(string name) => _members.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public int Int(string name, int least, int most, int? absent = null)
    {
        if (Value(name) is not { } value) { return absent ?? throw new UnusableModelException(File, $"lacks '{name}'."); }
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var number)) { throw new UnusableModelException(File, $"'{name}' is {Kind(value)} where a whole number is expected."); }

        return number >= least && number <= most ? number : throw new UnusableModelException(File, $"'{name}' is {number}; {least} to {most} can be used.");
    }

    public double Double(string name, double absent)
    {
        if (Value(name) is not { } value) { return absent; }
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) ? number : throw new UnusableModelException(File, $"'{name}' is {Kind(value)} where a number is expected.");
    }

    public bool Bool(string name, bool absent) => Value(name) is not { } value ? absent : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new UnusableModelException(File, $"'{name}' is {Kind(value)} where true or false is expected."),
    };

    public string? Text(string name) => Value(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw new UnusableModelException(File, $"'{name}' is {Kind(value)} where a string is expected.");

    public static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => $"the number {(value.GetRawText() is { Length: <= 32 } raw ? raw : "of many digits")}",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Null or JsonValueKind.Undefined => "null",
    };
}
