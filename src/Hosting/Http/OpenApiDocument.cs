namespace Platform.Hosting.Http;

/// <summary>The API's OpenAPI 3.1 document, kept by hand beside the endpoints; a test holds it against them and their answers against it.</summary>
public static class OpenApiDocument
{
    private const string Resource = "Platform.Hosting.openapi.json";

    private static readonly Lazy<byte[]> Loaded = new(Load);

    /// <summary>UTF-8 JSON.</summary>
    public static ReadOnlyMemory<byte> Bytes => Loaded.Value;

    private static byte[] Load()
    {
        using var stream = typeof(OpenApiDocument).Assembly.GetManifestResourceStream(Resource)
            ?? throw new InvalidOperationException($"The resource {Resource} is not in the assembly.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
