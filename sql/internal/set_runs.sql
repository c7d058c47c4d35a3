-- the ids of the runs that a query is about, as its variable
SET VARIABLE runs = string_split(?, ',')
