using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.CloudFunctions;

/// <summary>The deployment is wrong: no invocation could do its work, so the process says why and does not begin to listen.</summary>
internal sealed class SettingsException(string message) : Exception(message);

/// <summary>What the application settings say, which the host passes on as environment variables. A test compares them with infra/bicep.</summary>
/// <param name="Postgres">PLATFORM_POSTGRES: the connection string.</param>
/// <param name="DataFolder">PLATFORM_DATA: before-images and the audit key; one folder for all instances.</param>
/// <param name="Anchor">PLATFORM_ANCHOR: the file of signed checkpoints; in the data folder where nothing is said.</param>
/// <param name="Deadline">Of an invocation, below the host's functionTimeout.</param>
internal sealed record Settings(ushort Port, string Postgres, string DataFolder, string Anchor, TimeSpan Deadline)
{
    /// <summary>An invocation that passes functionTimeout costs the host its only process, and every other invocation in it.</summary>
    private static readonly TimeSpan LeastMargin = TimeSpan.FromSeconds(10);

    /// <summary>Where functionTimeout is unlimited: as Flex Consumption has it by default.</summary>
    private static readonly TimeSpan Unlimited = TimeSpan.FromMinutes(30);

    /// <exception cref="SettingsException"/>
    public static Settings Read(Func<string, string?> variable)
    {
        if (!ushort.TryParse(variable("FUNCTIONS_CUSTOMHANDLER_PORT"), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            throw new SettingsException("FUNCTIONS_CUSTOMHANDLER_PORT is not set: this program is started by the Azure Functions host.");
        }

        var postgres = Required(variable, "PLATFORM_POSTGRES", "the connection string of the installation's PostgreSQL");
        var data = Required(variable, "PLATFORM_DATA", "the folder that all instances share, for before-images and the audit key");
        CheckFolder(data);
        return new Settings(port, postgres, data, variable("PLATFORM_ANCHOR") is { Length: > 0 } anchor ? anchor : Path.Combine(data, "audit-anchor.txt"), DeadlineOf(variable));
    }

    private static string Required(Func<string, string?> variable, string name, string what)
    {
        if (variable(name) is not { Length: > 0 } value) { throw new SettingsException($"{name} is not set: {what}."); }

        // The platform leaves the reference as it stands where it may not read the secret.
        return value.StartsWith("@Microsoft.KeyVault(", StringComparison.OrdinalIgnoreCase)
            ? throw new SettingsException($"{name} is a Key Vault reference that was not resolved: may the app's identity read the secret, and reach the vault?")
            : value;
    }

    /// <summary>It is never made here: a folder that is missing is a mount that failed, and before-images in an instance's own files would be gone with it.</summary>
    private static void CheckFolder(string folder)
    {
        if (!Directory.Exists(folder)) { throw new SettingsException($"PLATFORM_DATA names {folder}, and there is no such folder: is the share mounted there?"); }
        try
        {
            var probe = Path.Combine(folder, $".writable-{Guid.NewGuid():n}");
            File.WriteAllBytes(probe, [0]);
            File.Delete(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingsException($"PLATFORM_DATA names {folder}, and nothing can be written there: {e.Message}");
        }
    }

    /// <summary>The host reads functionTimeout in host.json, and over it an application setting.</summary>
    private static TimeSpan DeadlineOf(Func<string, string?> variable)
    {
        var said = variable("AzureFunctionsJobHost__functionTimeout") is { Length: > 0 } given ? given : InHostJson();
        if (said is null or "-1") { return Unlimited; }
        if (!TimeSpan.TryParse(said, CultureInfo.InvariantCulture, out var timeout) || timeout <= LeastMargin)
        {
            throw new SettingsException($"functionTimeout is '{said}': a duration longer than {LeastMargin.TotalSeconds} seconds is needed, for example 00:10:00.");
        }

        return timeout - (timeout / 20 > LeastMargin ? timeout / 20 : LeastMargin);
    }

    private static string? InHostJson()
    {
        try { return (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "host.json")))?["functionTimeout"]; }
        catch (Exception e) when (e is IOException or JsonException or InvalidOperationException) { throw new SettingsException($"host.json beside the program cannot be read: {e.Message}"); }
    }
}
