#!/bin/sh
# Makes the database user of web and worker, who may read and write rows and nothing else: it can
# neither empty a table nor drop the triggers that keep history. The image runs this when it
# prepares an empty volume; on one that is in use, and after another password, run it by hand:
#
#   docker compose exec mysql sh /docker-entrypoint-initdb.d/app_user.sh
set -eu
password=$(sed "s/[\\\\']/\\\\&/g" /run/secrets/mysql_app_password)
MYSQL_PWD=$(cat /run/secrets/mysql_root_password) mysql --user=root <<SQL
CREATE USER IF NOT EXISTS 'portal_app'@'%' IDENTIFIED BY '$password';
ALTER USER 'portal_app'@'%' IDENTIFIED BY '$password';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`$MYSQL_DATABASE\`.* TO 'portal_app'@'%';
GRANT PROCESS ON *.* TO '$MYSQL_USER'@'%'; -- a restore looks whether others are still at work
SQL
