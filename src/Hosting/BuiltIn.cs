using Platform.Capabilities;
using Platform.Capabilities.Blobs;
using Platform.Capabilities.Files;
using Platform.Capabilities.Http;
using Platform.Domain.Capabilities;

namespace Platform.Hosting;

/// <summary>What every installation can do to the world.</summary>
public static class BuiltIn
{
    public static CapabilityRegistry Capabilities(ContentStore contents) => new([.. FileCapabilities.All(contents), new HttpGet()]);

    /// <summary>What they are, for a check that performs nothing.</summary>
    public static IReadOnlyList<CapabilityDescriptor> Descriptors()
    {
        var folder = Directory.CreateTempSubdirectory("platform-check");
        try { return Capabilities(new ContentStore(folder.FullName)).All; }
        finally { folder.Delete(recursive: true); }
    }
}
