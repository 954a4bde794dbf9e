using System.CommandLine;
using Platform.EmbeddedPostgres;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary>Makes commands that share the global options and one way to fail.</summary>
internal sealed class Commands(GlobalOptions options)
{
    /// <param name="symbols">Arguments and options of this command, arguments in order.</param>
    /// <param name="execute">Does it; returns an <see cref="ExitCode"/>.</param>
    public Command Add(string name, string description, IReadOnlyList<Symbol> symbols, Func<ParseResult, Settings, CancellationToken, Task<int>> execute)
    {
        var command = new Command(name, description);
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument) { command.Arguments.Add(argument); }
            if (symbol is Option option) { command.Options.Add(option); }
        }

        command.SetAction((parse, stop) => Guarded(parse, execute, stop));
        return command;
    }

    private async Task<int> Guarded(ParseResult parse, Func<ParseResult, Settings, CancellationToken, Task<int>> execute, CancellationToken stop)
    {
        var terminal = Terminal.Create(parse.GetValue(options.Json), parse.GetValue(options.NoColour));
        try
        {
            return await execute(parse, options.Read(parse), stop);
        }
        catch (ProblemException e)
        {
            terminal.Fail(e.Problem.Code, e.Problem.Detail);
            return ExitCode.Usage;
        }
        catch (ClusterException e)
        {
            terminal.Fail("db.unavailable", e.Message);
            return ExitCode.Unavailable;
        }
        catch (StoreUnavailableException e)
        {
            terminal.Fail("store.unavailable", e.Message);
            return ExitCode.Unavailable;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            terminal.Fail("interrupted", "Stopped before the end.");
            return ExitCode.Interrupted;
        }
        catch (IOException e)
        {
            terminal.Fail("io", e.Message);
            return ExitCode.Usage;
        }
        // The process's edge: what nobody expected is shown once, with its place, and answered with its own code.
        catch (Exception e)
        {
            terminal.Fail("internal", $"{e.Message}\nThis is a fault of platform. Please report it with this text:\n{e}");
            return ExitCode.Internal;
        }
    }
}
