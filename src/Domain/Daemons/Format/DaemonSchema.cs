using System.Text.Json;

namespace Platform.Domain.Daemons.Format;

/// <summary>The JSON Schema of daemon files, as it is served to editors and as every file is checked.</summary>
public static class DaemonSchema
{
    private const string Resource = "Platform.Domain.daemon.schema.json";

    private static readonly Lazy<(string Text, JsonSchema Schema)> Loaded = new(Load);

    /// <summary>The document itself.</summary>
    public static string Text => Loaded.Value.Text;

    public static JsonSchema Schema => Loaded.Value.Schema;

    private static (string Text, JsonSchema Schema) Load()
    {
        using var stream = typeof(DaemonSchema).Assembly.GetManifestResourceStream(Resource)
            ?? throw new InvalidOperationException($"The resource {Resource} is not in the assembly.");
        using var reader = new StreamReader(stream);
        var text = reader.ReadToEnd();
        using var document = JsonDocument.Parse(text);
        return (text, JsonSchema.Parse(document.RootElement.Clone()));
    }
}
