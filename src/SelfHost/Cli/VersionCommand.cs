using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform version</c>.</summary>
internal static class VersionCommand
{
    public static string Version { get; } = typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0.0.0";

    public static Command Create(Commands commands) => commands.Add("version", "The version of this program.", [], ["version"], (_, settings, _) =>
    {
        if (settings.Terminal.Json)
        {
            settings.Terminal.Document(new JsonObject { ["version"] = Version, ["runtime"] = RuntimeInformation.FrameworkDescription, ["platform"] = RuntimeInformation.RuntimeIdentifier });
        }
        else
        {
            settings.Terminal.Line($"platform {Version} ({RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier})");
        }

        return Task.FromResult(ExitCode.Done);
    });
}
