#!/usr/bin/env escript
%% escript packet.escript 1|2|4 server
%% escript packet.escript 1|2|4 client PORT SIZE...

main([Packet, "server"]) ->
    {ok, Listening} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}} | options(Packet)]),
    {ok, Port} = inet:port(Listening),
    io:format("Listening on ~b~n", [Port]),
    {ok, Socket} = gen_tcp:accept(Listening),
    serve(Socket);

main([Packet, "client", Port | Sizes]) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, list_to_integer(Port), options(Packet)),
    Messages = [message(list_to_integer(Size)) || Size <- Sizes],
    %% Another process sends, so that both directions are busy at a time.
    spawn_link(fun() -> [ok = gen_tcp:send(Socket, Message) || Message <- Messages] end),
    lists:foreach(fun(Message) -> expect(Socket, Message) end, Messages),
    ok = gen_tcp:close(Socket).

options(Packet) -> [binary, {packet, list_to_integer(Packet)}, {active, false}].

%% Each message is answered with two: its size in digits, and itself.
serve(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Message} ->
            ok = gen_tcp:send(Socket, integer_to_list(byte_size(Message))),
            ok = gen_tcp:send(Socket, Message),
            serve(Socket);
        {error, closed} ->
            ok
    end.

expect(Socket, Message) ->
    Size = integer_to_binary(byte_size(Message)),
    {ok, Size} = gen_tcp:recv(Socket, 0),
    {ok, Message} = gen_tcp:recv(Socket, 0).

%% 0, 1, 2 and so on to 250, then 0 again.
message(Size) ->
    binary:part(binary:copy(list_to_binary(lists:seq(0, 250)), Size div 251 + 1), 0, Size).
