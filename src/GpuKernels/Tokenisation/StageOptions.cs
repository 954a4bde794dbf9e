using System.Text;
using System.Text.Json;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>One object of a tokenizer.json, with its place in the file for errors. What is asked for and not supported is an error that names it.</summary>
internal readonly struct StageOptions(string place, JsonElement element)
{
    /// <summary>Where in the file this is: `pre_tokenizer.pretokenizers[1]`.</summary>
    public string Place { get; } = place;

    public JsonElement Element { get; } = element;

    public bool IsNull => Element.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    public string Type => Text("type");

    public static TokeniserFileException Wrong(string place, string what) => new($"tokenizer.json: {place} {what}");

    public TokeniserFileException Unsupported(IEnumerable<string> supported) =>
        Wrong(Place, $"'{Type}' is not supported; supported are {string.Join(", ", supported.Order(StringComparer.Ordinal))}");

    /// <summary>Refuses options that are not among <paramref name="known"/>: one that we ignored would change the ids.</summary>
    public void Knows(params ReadOnlySpan<string> known)
    {
        foreach (var property in Element.EnumerateObject())
        {
            if (property.Name != "type" && !known.Contains(property.Name)) { throw Wrong(Place, $"has the option '{property.Name}', which is not supported for '{Type}'"); }
        }
    }

    public StageOptions Member(string name)
    {
        if (Element.ValueKind != JsonValueKind.Object) { throw Wrong(Place, "must be an object"); }

        return new(Place.Length == 0 ? name : $"{Place}.{name}", Element.TryGetProperty(name, out var value) ? value : default);
    }

    public IEnumerable<StageOptions> Items(string name)
    {
        var list = Member(name);
        if (list.Element.ValueKind != JsonValueKind.Array) { throw Wrong(list.Place, "must be a list"); }

        var i = 0;
        foreach (var item in list.Element.EnumerateArray()) { yield return new($"{list.Place}[{i++}]", item); }
    }

    public string Text(string name, string? otherwise = null) => Member(name).AsText(otherwise);

    public string? TextOrNull(string name)
    {
        var value = Member(name);
        return value.IsNull ? null : value.AsText(null);
    }

    public string AsText(string? otherwise = null)
    {
        if (Element.ValueKind == JsonValueKind.Undefined && otherwise is not null) { return otherwise; }

        // A lone surrogate cannot be read as text.
        try { return Element.ValueKind == JsonValueKind.String ? Element.GetString()! : throw Wrong(Place, "must be a text"); }
        catch (InvalidOperationException wrong) { throw new TokeniserFileException($"tokenizer.json: {Place} is not valid Unicode", wrong); }
    }

    public byte[] Utf8(string name) => Encoding.UTF8.GetBytes(Text(name));

    public bool Flag(string name, bool? otherwise = null)
    {
        var value = Member(name);
        return value.Element.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Undefined when otherwise is { } flag => flag,
            _ => throw Wrong(value.Place, "must be true or false"),
        };
    }

    /// <summary>A whole number from 0 to 2^31-1.</summary>
    public int Number(string name, int? otherwise = null)
    {
        var value = Member(name);
        if (value.Element.ValueKind == JsonValueKind.Undefined && otherwise is { } number) { return number; }

        return value.AsNumber();
    }

    public int AsNumber() => Element.ValueKind == JsonValueKind.Number && Element.TryGetInt32(out var number) && number >= 0
        ? number
        : throw Wrong(Place, "must be a whole number from 0 to 2147483647");
}
